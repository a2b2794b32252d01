package lakehouse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Maintenance in plain SQL on each kind of Iceberg catalog that can run here. */
class AnyCatalogTest {
    private static final Path REST = Path.of("../rest-catalog/target");

    @TempDir Path folder;
    private TableEnvironment sql;

    @Test
    void hadoop() throws Exception {
        maintain("'catalog-type' = 'hadoop', 'warehouse' = 'file://" + folder + "'");
    }

    @Test
    void jdbc() throws Exception {
        maintain(
                "'catalog-impl' = 'org.apache.iceberg.jdbc.JdbcCatalog', 'uri' = 'jdbc:sqlite:"
                        + folder.resolve("catalog.db")
                        + "', 'jdbc.schema-version' = 'V1', 'warehouse' = 'file://"
                        + folder
                        + "'");
    }

    @Test
    void rest() throws Exception {
        assumeTrue(
                Files.exists(REST.resolve("classpath")),
                "first: mvn test-compile -pl rest-catalog");
        Process server =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-cp",
                                REST.resolve("test-classes")
                                        + File.pathSeparator
                                        + Files.readString(REST.resolve("classpath")),
                                "lakehouse.RestCatalog",
                                folder.toString())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try (BufferedReader said =
                new BufferedReader(new InputStreamReader(server.getInputStream()))) {
            String uri = said.readLine();
            assertThat(uri).startsWith("http://127.0.0.1:");
            // Only the server knows where its tables are.
            maintain(
                    "'catalog-type' = 'rest', 'uri' = '"
                            + uri
                            + "', 'maintenance.quarantine-dir' = 'file://"
                            + folder.resolve("quarantine")
                            + "'");
        } finally {
            server.getOutputStream().close();
            server.waitFor();
        }
    }

    private void maintain(String options) throws Exception {
        sql =
                TableEnvironment.create(
                        EnvironmentSettings.newInstance()
                                .inBatchMode()
                                .withConfiguration(Cluster.running().session())
                                .build());
        Files.createDirectories(folder.resolve("state"));
        sql.executeSql(
                "CREATE CATALOG lake WITH ('type' = 'iceberg-procedures', 'maintenance.state-dir' ="
                        + " 'file://"
                        + folder.resolve("state")
                        + "', "
                        + options
                        + ")");
        sql.executeSql("CREATE DATABASE lake.db");
        sql.executeSql("CREATE TABLE lake.db.t (id BIGINT, name STRING)");
        for (int i = 0; i < 6; i++) {
            sql.executeSql("INSERT INTO lake.db.t VALUES (" + i + ", 'n" + i + "')").await();
        }
        long third = (Long) rows("CALL lake.sys.ancestors_of('db.t')").get(3).get("snapshot_id");

        call("create_tag('db.t', 'third', " + third + ")");
        assertThat(call("rewrite_data_files('db.t')").get("rewritten_data_files_count"))
                .isEqualTo(6L);
        assertThat(call("rewrite_manifests('db.t')")).isNotNull();
        assertThat(
                        call("expire_snapshots(`table` => 'db.t', older_than => TIMESTAMP '2100-01-01"
                                        + " 00:00:00')")
                                .get("expired_snapshots_count"))
                .isNotEqualTo(0L);
        Path orphan = orphan();
        call("remove_orphan_files(`table` => 'db.t')");
        assertThat(orphan).doesNotExist();
        assertThat(rows("SELECT id FROM lake.db.t")).hasSize(6);
        assertThat(rows("SELECT id FROM lake.db.t /*+ OPTIONS('tag' = 'third') */")).hasSize(3);
        call("set_current_snapshot(`table` => 'db.t', `ref` => 'third')");
        assertThat(rows("SELECT id FROM lake.db.t")).hasSize(3);
    }

    /** Creates an orphan next to a data file, and old enough. */
    private Path orphan() throws Exception {
        String file =
                (String) rows("SELECT file_path FROM lake.db.`t$files`").get(0).get("file_path");
        Path orphan = Path.of(file.replaceFirst("^file:/*", "/")).resolveSibling("orphan.parquet");
        Files.writeString(orphan, "nobody's");
        Files.setLastModifiedTime(orphan, FileTime.from(Instant.now().minus(Duration.ofDays(30))));
        return orphan;
    }

    private Map<String, Object> call(String call) throws Exception {
        List<Map<String, Object>> rows = rows("CALL lake.sys." + call);
        assertThat(rows).hasSize(1);
        return rows.get(0);
    }

    private List<Map<String, Object>> rows(String statement) {
        return Lakehouse.query(sql, statement);
    }
}
