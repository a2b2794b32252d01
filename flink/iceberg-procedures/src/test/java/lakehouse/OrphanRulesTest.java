package lakehouse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * The cases of {@code orphan-rules.json}, which the platform's orphan removal in Python is tested
 * with, too.
 */
class OrphanRulesTest {
    @TempDir Path folder;

    @TestFactory
    Stream<DynamicTest> rules() throws IOException {
        List<DynamicTest> tests = new ArrayList<>();
        for (JsonNode rule :
                new ObjectMapper().readTree(getClass().getResource("/orphan-rules.json"))) {
            Path of = folder.resolve(String.valueOf(tests.size()));
            tests.add(dynamicTest(rule.get("name").asText(), () -> check(rule, of)));
        }
        return tests.stream();
    }

    private static void check(JsonNode rule, Path folder) throws Exception {
        Files.createDirectories(folder);
        try (Lakehouse lake = new Lakehouse(folder)) {
            Table table = table(lake, rule);
            Path root = Path.of(table.location().replaceFirst("^file:/*", "/"));
            if (rule.has("other")) {
                lake.catalog.createTable(
                        TableIdentifier.parse("silver.other"),
                        table.schema(),
                        PartitionSpec.unpartitioned(),
                        rule.get("other").asText().replace("{table}", table.location()),
                        Map.of());
            }
            age(root, 30);
            List<String> orphans = new ArrayList<>();
            JsonNode files = rule.get("files");
            for (String name : (Iterable<String>) files::fieldNames) {
                plant(root.resolve(name), files.get(name).get("days").asInt());
                if (files.get(name).get("orphan").asBoolean()) {
                    orphans.add(root.resolve(name).toString());
                }
            }
            for (int i = 0; i < rule.path("more").asInt(); i++) {
                plant(root.resolve("data/" + i + ".parquet"), 10);
            }
            String call =
                    "remove_orphan_files(`table` => 'silver.t', max_orphan_share => "
                            + rule.path("share").asDouble(1)
                            + ")";
            if (rule.path("refused").asBoolean()) {
                assertThatThrownBy(() -> lake.call(call));
            } else {
                assertThat(Arrays.stream((String[]) lake.call(call).get("first_orphan_files")))
                        .map(file -> file.replaceFirst("^file:/*", "/"))
                        .containsExactlyInAnyOrderElementsOf(orphans);
            }
        }
    }

    private static Table table(Lakehouse lake, JsonNode rule) throws Exception {
        String column = rule.path("partition").asText("kind");
        Schema schema =
                new Schema(
                        Types.NestedField.optional(1, "id", Types.LongType.get()),
                        Types.NestedField.optional(2, column, Types.StringType.get()));
        PartitionSpec spec =
                rule.has("partition")
                        ? PartitionSpec.builderFor(schema).identity(column).build()
                        : PartitionSpec.unpartitioned();
        Map<String, String> properties = new HashMap<>();
        JsonNode given = rule.path("properties");
        given.fieldNames().forEachRemaining(name -> properties.put(name, given.get(name).asText()));
        lake.catalog.createTable(TableIdentifier.parse("silver.t"), schema, spec, properties);
        lake.sql().getConfig().set("execution.checkpointing.interval", "200 ms");
        lake.sql().executeSql("INSERT INTO lake.silver.t VALUES (1, 'p')").await();
        return lake.load("silver.t");
    }

    private static void plant(Path file, int days) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, "x");
        age(file, days);
    }

    private static void age(Path top, int days) throws IOException {
        FileTime then = FileTime.from(Instant.now().minus(Duration.ofDays(days)));
        try (Stream<Path> files = Files.walk(top)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.setLastModifiedTime(file, then);
            }
        }
    }
}
