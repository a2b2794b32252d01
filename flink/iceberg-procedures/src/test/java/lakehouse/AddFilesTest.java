package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.JAN_6;
import static lakehouse.Lakehouse.TRIPS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.core.execution.JobClient;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.shaded.org.apache.parquet.example.data.Group;
import org.apache.iceberg.shaded.org.apache.parquet.example.data.simple.SimpleGroup;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetWriter;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.iceberg.shaded.org.apache.parquet.io.LocalOutputFile;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageType;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageTypeParser;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adds Parquet files written by other programs, which have no field IDs. */
class AddFilesTest {
    private static final String TRIP =
            "optional int64 id; optional int32 hour; optional binary zone (STRING); optional int64"
                    + " fare (DECIMAL(10,2)); optional int64 at (TIMESTAMP(MICROS,true));";

    @TempDir Path folder;
    private Lakehouse lake;

    @BeforeEach
    void open() throws Exception {
        lake = new Lakehouse(folder);
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    /** Writes rows, omitting the values that are null. */
    private Path write(String file, String columns, Object[]... rows) throws Exception {
        MessageType type = MessageTypeParser.parseMessageType("message m { " + columns + " }");
        Path path = folder.resolve("incoming").resolve(file);
        Files.createDirectories(path.getParent());
        try (ParquetWriter<Group> writer =
                ExampleParquetWriter.builder(new LocalOutputFile(path))
                        .withWriteMode(ParquetFileWriter.Mode.OVERWRITE)
                        .withType(type)
                        .build()) {
            for (Object[] row : rows) {
                Group group = new SimpleGroup(type);
                for (int i = 0; i < row.length; i++) {
                    if (row[i] instanceof Long value) {
                        group.add(i, value);
                    } else if (row[i] instanceof Integer value) {
                        group.add(i, value);
                    } else if (row[i] instanceof Double value) {
                        group.add(i, value);
                    } else if (row[i] instanceof String value) {
                        group.add(i, value);
                    }
                }
                writer.write(group);
            }
        }
        return path;
    }

    private Path trip(String file, long id) throws Exception {
        return write(file, TRIP, row(id));
    }

    private static Object[] row(long id) {
        return new Object[] {id, 7, "zone " + id, id * 100, 1_704_400_000_000_000L + id};
    }

    private static Map<String, Object> read(long id, LocalDate day) {
        return Map.of(
                "id",
                id,
                "day",
                day,
                "hour",
                7,
                "zone",
                "zone " + id,
                "fare",
                BigDecimal.valueOf(id * 100, 2),
                "at",
                Instant.ofEpochSecond(1_704_400_000, id * 1000));
    }

    private Map<String, Object> add(String table, String more) {
        return lake.call(
                "add_files(`table` => 'silver."
                        + table
                        + "', path => 'file://"
                        + folder.resolve("incoming")
                        + "/'"
                        + more
                        + ")");
    }

    private void refused(String table, String... says) {
        assertThatThrownBy(() -> add(table, "")).hasMessageContainingAll(says);
        Table untouched = lake.load("silver." + table);
        assertThat(untouched.currentSnapshot()).isNull();
        assertThat(untouched.properties()).doesNotContainKey(TableProperties.DEFAULT_NAME_MAPPING);
    }

    private List<Map<String, Object>> trips() {
        return lake.query("SELECT * FROM lake.silver.trips");
    }

    private Table table(String name, Schema schema, PartitionSpec spec) {
        return lake.catalog.createTable(TableIdentifier.of("silver", name), schema, spec);
    }

    @Test
    void filesAreAddedInPlace() throws Exception {
        Table trips = lake.trips();
        Object[] empty = {3L, null, null, null, null};
        Path first = write("day=2024-01-05/a.parquet", TRIP, row(1), row(2));
        Path second = write("day=2024-01-06/deeper/b.parquet", TRIP, empty);
        trip("day=2024-01-06/.hidden.parquet", 4);
        trip("_temporary/day=2024-01-06/c.parquet", 5);
        Files.createFile(folder.resolve("incoming/_SUCCESS"));

        Map<String, Object> done = add("trips", "");

        assertThat(done)
                .containsEntry("added_files_count", 2L)
                .containsEntry("changed_partition_count", 2L)
                .containsEntry("ignored_columns", new String[0])
                .containsEntry("dry_run", false);
        Map<String, Object> third = new HashMap<>();
        trips.schema().columns().forEach(column -> third.put(column.name(), null));
        third.putAll(Map.of("id", 3L, "day", JAN_6));
        assertThat(trips()).containsExactlyInAnyOrder(read(1, JAN_5), read(2, JAN_5), third);
        assertThat(lake.query("SELECT id FROM lake.silver.trips WHERE `day` = DATE '2024-01-06'"))
                .containsExactly(Map.of("id", 3L));
        assertThat(Lakehouse.files(trips))
                .extracting(DataFile::location)
                .containsExactlyInAnyOrder("file:" + first, "file:" + second);
        DataFile file =
                Lakehouse.files(trips).stream()
                        .filter(one -> one.recordCount() == 2)
                        .findFirst()
                        .orElseThrow();
        assertThat(file.fileSizeInBytes()).isEqualTo(Files.size(first));
        Long upper = Conversions.fromByteBuffer(Types.LongType.get(), file.upperBounds().get(1));
        assertThat(upper).isEqualTo(2);
        assertThat(file.splitOffsets()).containsExactly(4L);
        assertThat(trips.snapshots()).hasSize(1);
        assertThat(trips.properties().get(TableProperties.DEFAULT_NAME_MAPPING))
                .contains("\"zone\"");
        // Procedures that read files also find their columns by name.
        lake.call("compute_table_stats(`table` => 'silver.trips', columns => 'zone')");
        trips.refresh();
        assertThat(trips.statisticsFiles().get(0).blobMetadata().get(0).properties())
                .containsEntry("ndv", "2");
        assertThat(lake.call("rewrite_data_files(`table` => 'silver.trips', rewrite_all => true)"))
                .containsEntry("rewritten_rows", 3L);
        assertThat(trips()).containsExactlyInAnyOrder(read(1, JAN_5), read(2, JAN_5), third);
    }

    @Test
    void onlyTheRequestedPartitionsAreAdded() throws Exception {
        lake.table(
                "silver.trips",
                PartitionSpec.builderFor(TRIPS).identity("day").identity("hour").build(),
                Map.of());
        String columns = TRIP.replace("optional int32 hour; ", "");
        Object[] row = {1L, "zone 1", 100L, 1_704_400_000_000_001L};
        write("day=2024-01-05/hour=07/a.parquet", columns, row);
        write("day=2024-01-05/hour=08/a.parquet", columns, row);
        write("day=2024-01-06/hour=07/a.parquet", columns, row);

        String filter = ", partition_filter => 'hour=7, day=2024-01-05'";
        assertThat(add("trips", filter + ", dry_run => true"))
                .containsEntry("added_files_count", 1L)
                .containsEntry("changed_partition_count", 1L)
                .containsEntry("dry_run", true);
        assertThat(lake.load("silver.trips").currentSnapshot()).isNull();
        assertThat(add("trips", filter)).containsEntry("added_files_count", 1L);
        assertThat(trips()).containsExactly(read(1, JAN_5));
        assertThatThrownBy(() -> add("trips", ", partition_filter => 'hour=9'"))
                .hasMessageContaining("holds no files of partition {hour=9}");
        assertThatThrownBy(() -> add("trips", ", partition_filter => 'zone=a'"))
                .hasMessageContaining("not partitioned by zone; it is partitioned by [day, hour]");
        assertThatThrownBy(() -> add("trips", ", partition_filter => 'hour=noon'"))
                .hasMessageContaining("partition_filter: 'noon' is not a valid value")
                .hasMessageContaining("hour of type int");
    }

    @Test
    void aTableIsRefusedIfAJobReadsItByFieldIds() throws Exception {
        table("trips", Lakehouse.TRIPS, PartitionSpec.unpartitioned());
        trip("1.parquet", 1);
        JobClient job = lake.reader();
        try {
            refused("trips", "has no name mapping yet", "Flink job", "ignore_jobs => true");
            assertThat(add("trips", ", ignore_jobs => true"))
                    .containsEntry("added_files_count", 1L);
            trip("2.parquet", 2);
            assertThat(add("trips", ", check_duplicate_files => false"))
                    .containsEntry("added_files_count", 2L);
        } finally {
            job.cancel().get();
        }
    }

    @Test
    void aFileIsNotAddedTwice() throws Exception {
        Table trips = lake.trips();
        Path file = trip("day=2024-01-05/a.parquet", 1);
        add("trips", "");
        trip("day=2024-01-05/b.parquet", 2);
        assertThatThrownBy(() -> add("trips", ""))
                .hasMessageContaining("holds 1 of the 2 files already, such as file:" + file)
                .hasMessageContaining("check_duplicate_files => false");
        assertThat(trips()).containsExactly(read(1, JAN_5));
        add("trips", ", check_duplicate_files => false");
        assertThat(trips())
                .containsExactlyInAnyOrder(read(1, JAN_5), read(1, JAN_5), read(2, JAN_5));
        trips.refresh();
        assertThat(trips.snapshots()).hasSize(2);
    }

    @Test
    void folderNamesContainValuesOfAnyType() throws Exception {
        Schema schema =
                new Schema(
                        Types.NestedField.optional(1, "_text", Types.StringType.get()),
                        Types.NestedField.optional(2, "price", Types.DecimalType.of(6, 2)),
                        Types.NestedField.optional(3, "yes", Types.BooleanType.get()),
                        Types.NestedField.optional(4, "id", Types.LongType.get()));
        table(
                "values",
                schema,
                PartitionSpec.builderFor(schema)
                        .identity("_text")
                        .identity("price")
                        .identity("yes")
                        .build());
        String id = "optional int64 id;";
        write("_text=a%2Fb c+d/price=1.5/yes=true/a.parquet", id, new Object[] {1L});
        write(
                "_text=__HIVE_DEFAULT_PARTITION__/price=-3/yes=FALSE/a.parquet",
                id,
                new Object[] {2L});
        assertThat(add("values", "")).containsEntry("changed_partition_count", 2L);
        Map<String, Object> none = new HashMap<>();
        none.putAll(Map.of("price", new BigDecimal("-3.00"), "yes", false, "id", 2L));
        none.put("_text", null);
        assertThat(lake.query("SELECT * FROM lake.silver.`values`"))
                .containsExactlyInAnyOrder(
                        none,
                        Map.of(
                                "_text",
                                "a/b c+d",
                                "price",
                                new BigDecimal("1.50"),
                                "yes",
                                true,
                                "id",
                                1L));
    }

    @Test
    void invalidValuesInFolderNamesAreRefused() throws Exception {
        lake.trips();
        Path file = trip("day=yesterday/a.parquet", 1);
        refused(
                "trips",
                "File file:" + file,
                "'yesterday' is not a valid value",
                "day of type date");
        Schema schema =
                new Schema(
                        Types.NestedField.required(1, "price", Types.DecimalType.of(3, 1)),
                        Types.NestedField.optional(2, "id", Types.LongType.get()));
        table("prices", schema, PartitionSpec.builderFor(schema).identity("price").build());
        for (String value : List.of("1.25", "100", "__HIVE_DEFAULT_PARTITION__")) {
            delete();
            trip("price=" + value + "/a.parquet", 1);
            refused(
                    "prices",
                    "'" + value + "' is not a valid value",
                    "price of type decimal(3, 1)");
        }
    }

    private void delete() throws Exception {
        for (Path file : Lakehouse.onDisk(folder.resolve("incoming").toString())) {
            Files.delete(file);
        }
    }

    @Test
    void foldersThatAreNotPartitionsAreRefused() throws Exception {
        lake.trips();
        lake.table("silver.plain", PartitionSpec.unpartitioned(), Map.of());
        assertThatThrownBy(() -> add("trips", "")).hasMessageContaining("cannot be listed");
        Files.createDirectories(folder.resolve("incoming"));
        refused("trips", "holds no files");
        Path file = trip("a.parquet", 1);
        refused("trips", "File file:" + file, "of no partition", "it is partitioned by [day]");
        assertThatThrownBy(() -> lake.call("add_files('silver.plain', '" + file + "')"))
                .hasMessageContaining("a.parquet' is a file");
        assertThat(add("plain", ", dry_run => true"))
                .containsEntry("added_files_count", 1L)
                .containsEntry("changed_partition_count", 1L);
        delete();
        trip("day=2024-01-05/a.parquet", 1);
        refused("plain", "partition {day=2024-01-05}", "it is unpartitioned");
        delete();
        trip("day=2024-01-05/hour=1/a.parquet", 1);
        refused("trips", "hour=1", "it is partitioned by [day]");
        assertThatThrownBy(
                        () ->
                                lake.call(
                                        "add_files('silver.trips', '"
                                                + folder
                                                + "/silver/../incoming')"))
                .hasMessageContaining("contains . or ..");
    }

    @Test
    void onlyIdentityPartitioningIsSupported() throws Exception {
        lake.table(
                "silver.trips",
                PartitionSpec.builderFor(TRIPS).identity("day").bucket("id", 4).build(),
                Map.of());
        trip("day=2024-01-05/id_bucket=1/a.parquet", 1);
        refused("trips", "partitioned by bucket[4] of column id");
    }

    @Test
    void aColumnRemovedFromTheSpecIsNotAPartition() throws Exception {
        Table trips =
                lake.table(
                        "silver.trips",
                        PartitionSpec.builderFor(TRIPS).identity("day").identity("zone").build(),
                        Map.of("format-version", "1"));
        trips.updateSpec().removeField("zone").commit();
        trip("day=2024-01-05/a.parquet", 1);
        add("trips", "");
        assertThat(trips()).containsExactly(read(1, JAN_5));
    }

    @Test
    void typesArePromotedAndColumnsMayBeMissingOrUnknown() throws Exception {
        lake.table("silver.trips", PartitionSpec.unpartitioned(), Map.of());
        write(
                "a.parquet",
                "required int32 id; optional int32 day (DATE); optional binary extra (STRING);"
                        + " optional group place { optional double x; }",
                new Object[] {1, (int) JAN_5.toEpochDay(), "x"});
        assertThat(add("trips", ""))
                .containsEntry("ignored_columns", new String[] {"extra", "place.x"});
        assertThat(lake.query("SELECT id, `day`, zone FROM lake.silver.trips"))
                .singleElement()
                .satisfies(
                        row ->
                                assertThat(row)
                                        .containsEntry("id", 1L)
                                        .containsEntry("day", JAN_5)
                                        .containsEntry("zone", null));
    }

    @Test
    void columnsThatDoNotFitAreRefused() throws Exception {
        lake.trips();
        trip("day=2024-01-05/a.parquet", 1);
        String bad = "day=2024-01-06/b.parquet";
        Path file = write(bad, "optional int64 id; optional double fare;", new Object[] {1L, 1.0});
        refused("trips", "File file:" + file, "fare: double cannot be promoted to decimal(10, 2)");
        write(bad, "optional int64 id; optional binary Zone (STRING);", new Object[] {1L, "a"});
        refused("trips", "File file:" + file, "column Zone", "column zone", "case");
        write(bad, "optional int64 hour = 1; optional int64 id = 2;", new Object[] {1L, 1L});
        refused("trips", "File file:" + file, "column hour has field ID 1", "is column id");
        write(bad, "optional int64 id = 1; optional int32 hour;", new Object[] {1L, 1});
        refused("trips", "File file:" + file, "column hour", "field IDs");
        write(bad, "optional int64 id; optional int64 n (INTEGER(64,false));", new Object[] {1L});
        refused(
                "trips",
                "File file:" + file,
                "a column of a type that Iceberg does not support",
                "uint64");
        Files.writeString(file, "id,fare");
        refused("trips", "File file:" + file, "cannot be read as a Parquet file");
    }

    @Test
    void requiredColumnsMustHaveValues() throws Exception {
        Schema schema =
                new Schema(
                        Types.NestedField.required(1, "id", Types.LongType.get()),
                        Types.NestedField.required(2, "day", Types.DateType.get()),
                        Types.NestedField.optional(3, "zone", Types.StringType.get()));
        table("strict", schema, PartitionSpec.builderFor(schema).identity("day").build());
        String name = "day=2024-01-05/a.parquet";
        Path file = write(name, "optional binary zone (STRING);", new Object[] {"a"});
        refused("strict", "File file:" + file, "id is required, but is missing");
        write(name, "optional int64 id;", new Object[] {1L}, new Object[] {null});
        refused("strict", "File file:" + file, "id should be required, but is optional");
        write(name, "optional int64 id;", new Object[] {1L}, new Object[] {2L});
        assertThat(add("strict", "")).containsEntry("added_files_count", 1L);
        assertThat(lake.query("SELECT id FROM lake.silver.strict")).hasSize(2);
    }

    @Test
    void aFileMayContainOnlyItsPartitionsValues() throws Exception {
        lake.trips();
        String columns = "optional int32 day (DATE); optional int64 id;";
        Object[] fifth = {(int) JAN_5.toEpochDay(), 1L};
        Object[] sixth = {(int) JAN_6.toEpochDay(), 2L};
        Path file = write("day=2024-01-05/a.parquet", columns, fifth, sixth);
        refused("trips", "File file:" + file, "has values of column day", "to 2024-01-06)");
        write("day=2024-01-05/a.parquet", columns, fifth, new Object[] {null, 3L});
        refused("trips", "File file:" + file, "to 2024-01-05, and NULL)");
        write("day=2024-01-05/a.parquet", columns, fifth);
        Path none = write("day=__HIVE_DEFAULT_PARTITION__/a.parquet", columns, sixth);
        refused("trips", "File file:" + none, "has values of column day");
        write("day=__HIVE_DEFAULT_PARTITION__/a.parquet", columns, new Object[] {null, 2L});
        add("trips", "");
        assertThat(lake.query("SELECT id FROM lake.silver.trips WHERE `day` IS NULL"))
                .containsExactly(Map.of("id", 2L));
        assertThat(lake.query("SELECT id FROM lake.silver.trips WHERE `day` IS NOT NULL"))
                .containsExactly(Map.of("id", 1L));
    }

    @Test
    void truncatedBoundsInFootersAreAccepted() throws Exception {
        lake.table(
                "silver.trips", PartitionSpec.builderFor(TRIPS).identity("zone").build(), Map.of());
        Path file = write("zone=b/a.parquet", "optional binary zone (STRING);", new Object[] {"c"});
        refused("trips", "File file:" + file, "has values of column zone (c to c) that differ");
        Files.delete(file);
        write(
                "zone=b/a.parquet",
                "optional binary zone (STRING);",
                new Object[] {"a"},
                new Object[] {"c"});
        assertThat(add("trips", ", dry_run => true")).containsEntry("added_files_count", 1L);
    }
}
