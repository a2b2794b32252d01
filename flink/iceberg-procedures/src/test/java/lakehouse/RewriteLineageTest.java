package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.files;
import static lakehouse.Lakehouse.onDisk;
import static lakehouse.Lakehouse.partition;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.MetadataColumns;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.RowDelta;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.deletes.BaseDVFileWriter;
import org.apache.iceberg.deletes.PositionDeleteIndex;
import org.apache.iceberg.expressions.Literal;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.sink.FlinkFileWriterFactory;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.OutputFileFactory;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * In tables with format version 3, a rewrite keeps the ID of each row and when it was last updated.
 */
class RewriteLineageTest {
    @TempDir Path folder;
    private Lakehouse lake;

    @BeforeEach
    void open() throws Exception {
        FaultyCatalog.NEXT.set(null);
        SwappingFileIO.other = null;
        lake = new Lakehouse(folder, FaultyCatalog.class.getName());
        lake.options.put("io-impl", SwappingFileIO.class.getName());
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    private Table table(String format) {
        return lake.table(
                "silver.trips",
                Lakehouse.BY_DAY,
                Map.of("format-version", "3", "write.format.default", format));
    }

    private Map<String, Object> rewrite(String arguments) {
        return lake.call("rewrite_data_files(`table` => 'silver.trips'" + arguments + ")");
    }

    /** Adds a snapshot with a file of two rows. */
    private static DataFile two(Table table, long id) throws Exception {
        FileFormat format = FileFormat.fromString(table.properties().get("write.format.default"));
        var writer =
                new FlinkFileWriterFactory.Builder(table)
                        .dataFileFormat(format)
                        .dataSchema(table.schema())
                        .dataFlinkType(FlinkSchemaUtil.convert(table.schema()))
                        .build()
                        .newDataWriter(
                                OutputFileFactory.builderFor(table, 0, System.nanoTime())
                                        .format(format)
                                        .build()
                                        .newOutputFile(table.spec(), partition(table, JAN_5)),
                                table.spec(),
                                partition(table, JAN_5));
        try (writer) {
            writer.write(trip(id, JAN_5, (int) (7 - id % 7), "a"));
            writer.write(trip(id + 1, JAN_5, 1, "b"));
        }
        append(table, List.of(writer.toDataFile()));
        return writer.toDataFile();
    }

    private static List<DataFile> six(Table table, long from) throws Exception {
        List<DataFile> files = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            files.add(two(table, from + 2 * i));
        }
        return files;
    }

    /** Deletes the first row of each file with a deletion vector. */
    private static void deleteFirst(Table table, DataFile... files) throws Exception {
        var writer =
                new BaseDVFileWriter(
                        OutputFileFactory.builderFor(table, 0, System.nanoTime())
                                .format(FileFormat.PUFFIN)
                                .build(),
                        path -> (PositionDeleteIndex) null);
        try (writer) {
            for (DataFile file : files) {
                writer.delete(file.location(), 0, table.spec(), file.partition());
            }
        }
        RowDelta delta = table.newRowDelta();
        writer.result().deleteFiles().forEach(delta::addDeletes);
        delta.commit();
    }

    private static List<DeleteFile> vectors(Table table) throws Exception {
        table.refresh();
        List<DeleteFile> vectors = new ArrayList<>();
        try (var tasks = table.newScan().planFiles()) {
            tasks.forEach(task -> vectors.addAll(task.deletes()));
        }
        return vectors;
    }

    /** The ID, the last updated sequence number and the values of each row. */
    private static List<String> lineage(Table table) throws Exception {
        table.refresh();
        Schema schema = MetadataColumns.schemaWithRowLineage(table.schema());
        int width = schema.columns().size();
        try (CloseableIterable<Record> records =
                IcebergGenerics.read(table).project(schema).build()) {
            List<String> rows = new ArrayList<>();
            for (Record record : records) {
                StringBuilder row = new StringBuilder();
                for (int i = 0; i < width; i++) {
                    row.append(record.get((i + width - 2) % width)).append(' ');
                }
                rows.add(row.toString());
            }
            return rows.stream().sorted().toList();
        }
    }

    private static void assertIdsDiffer(Table table) throws Exception {
        List<String> ids = lineage(table).stream().map(row -> row.split(" ")[0]).toList();
        assertThat(new HashSet<>(ids)).hasSameSizeAs(ids).doesNotContain("null");
    }

    private void assertUnchangedByRewrite(String format, String arguments) throws Exception {
        Table trips = table(format);
        List<DataFile> early = six(trips, 0);
        deleteFirst(trips, early.get(0), early.get(2));
        List<String> before = lineage(trips);
        assertThat(before).hasSize(10);
        assertThat(rewrite(arguments))
                .containsEntry("rewritten_data_files_count", 6L)
                .containsEntry("added_data_files_count", 1L)
                .containsEntry("rewritten_rows", 10L);
        assertThat(lineage(trips)).isEqualTo(before);
        assertThat(vectors(trips)).isEmpty();
        assertThat(trips.currentSnapshot().summary()).containsEntry("removed-dvs", "2");

        six(trips, 100);
        deleteFirst(trips, files(trips).toArray(DataFile[]::new));
        before = lineage(trips);
        assertThat(before).hasSize(15);
        assertIdsDiffer(trips);
        assertThat(rewrite(arguments + ", rewrite_all => true"))
                .containsEntry("rewritten_data_files_count", 7L)
                .containsEntry("rewritten_rows", 15L);
        assertThat(lineage(trips)).isEqualTo(before);
        assertThat(vectors(trips)).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"parquet", "avro", "orc"})
    void rowIdsAreKept(String format) throws Exception {
        assertUnchangedByRewrite(format, "");
    }

    @Test
    void rowIdsAreKeptWhenSorting() throws Exception {
        assertUnchangedByRewrite(
                "parquet", ", strategy => 'sort', sort_order => '`hour`, id DESC'");
    }

    @Test
    void rowIdsAreKeptInAnotherPartition() throws Exception {
        Table trips = table("parquet");
        List<DataFile> early = six(trips, 0);
        deleteFirst(trips, early.get(1));
        trips.updateSpec().addField("zone").commit();
        List<String> before = lineage(trips);
        assertThat(rewrite("")).containsEntry("added_data_files_count", 2L);
        assertThat(lineage(trips)).isEqualTo(before);
        assertThat(files(trips)).allMatch(file -> file.specId() == trips.spec().specId());
    }

    /** The same rows, in a file without row IDs. */
    @Test
    void changedRowIdsAreNotCommitted() throws Exception {
        Table trips = table("parquet");
        SwappingFileIO.other = two(trips, 0).location();
        List<String> before = lineage(trips);
        assertThatThrownBy(() -> rewrite(", rewrite_all => true"))
                .hasMessageContaining("changed during the rewrite");
        SwappingFileIO.other = null;
        assertThat(lineage(trips)).isEqualTo(before);
    }

    @Test
    void rowsOfAnUpgradedTableGetIds() throws Exception {
        Table trips =
                lake.table(
                        "silver.trips",
                        Lakehouse.BY_DAY,
                        Map.of("write.format.default", "parquet"));
        six(trips, 0);
        List<String> before = Lakehouse.rows(trips);
        trips.updateProperties().set("format-version", "3").commit();
        assertThat(rewrite("")).containsEntry("rewritten_rows", 12L);
        assertThat(Lakehouse.rows(trips)).isEqualTo(before);
        assertIdsDiffer(trips);
    }

    /** A commit assigns IDs to all rows, including those of files being rewritten. */
    @Test
    void rowIdsAssignedDuringTheRewriteAreKept() throws Exception {
        Table trips =
                lake.table(
                        "silver.trips",
                        Lakehouse.BY_DAY,
                        Map.of("write.format.default", "parquet"));
        six(trips, 0);
        trips.updateProperties().set("format-version", "3").commit();
        List<String> between = new ArrayList<>();
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    Table other = lake.load("silver.trips");
                    two(other, 100);
                    between.addAll(lineage(other));
                    table.commit(base, metadata);
                });
        assertThat(rewrite(""))
                .containsEntry("conflicts", 1)
                .hasEntrySatisfying(
                        "reasons",
                        reasons ->
                                assertThat((String) reasons)
                                        .contains("have been assigned IDs since"));
        assertThat(rewrite("")).containsEntry("rewritten_rows", 14L);
        assertThat(lineage(trips)).isEqualTo(between);
    }

    @Test
    void rowsOfAnUpgradedTableKeepTheirIds() throws Exception {
        Table trips =
                lake.table(
                        "silver.trips",
                        Lakehouse.BY_DAY,
                        Map.of("write.format.default", "parquet"));
        six(trips, 0);
        DeleteFile equals = Lakehouse.deletesOf(trips, JAN_5, 4);
        trips.newRowDelta().addDeletes(equals).commit();
        trips.updateProperties().set("format-version", "3").commit();
        two(trips, 100);
        List<String> before = lineage(trips);
        assertThat(before).hasSize(13);
        assertIdsDiffer(trips);
        assertThat(rewrite("")).containsEntry("rewritten_rows", 13L);
        assertThat(lineage(trips)).isEqualTo(before);
    }

    @Test
    void aConcurrentDeletionVectorIsAConflict() throws Exception {
        Table trips = table("parquet");
        List<DataFile> early = six(trips, 0);
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    deleteFirst(lake.load("silver.trips"), early.get(3));
                    table.commit(base, metadata);
                });
        assertThat(rewrite("")).containsEntry("groups", 0).containsEntry("conflicts", 1);
        assertThat(lineage(trips)).hasSize(11);
        assertThat(rewrite("")).containsEntry("rewritten_rows", 11L);
    }

    @ParameterizedTest
    @ValueSource(strings = {"parquet", "avro"})
    void initialDefaultsOfAddedColumnsAreKept(String format) throws Exception {
        Table trips = table(format);
        six(trips, 0);
        trips.updateSchema()
                .addColumn("tip", Types.IntegerType.get(), null, Literal.of(7))
                .commit();
        List<String> before = lineage(trips);
        assertThat(before).allMatch(row -> row.endsWith(" 7 "));
        assertThat(rewrite("")).containsEntry("rewritten_rows", 12L);
        assertThat(lineage(trips)).isEqualTo(before);
    }

    private Map<String, Object> expire() {
        return lake.call(
                "expire_snapshots(`table` => 'silver.trips', older_than => TIMESTAMP '2100-01-01"
                        + " 00:00:00')");
    }

    private static long vectorFiles(Table table) throws Exception {
        return onDisk(table.location() + "/data").stream()
                .filter(path -> path.toString().endsWith(".puffin"))
                .count();
    }

    @Test
    void deletionVectorsExpireWithTheRewrittenFiles() throws Exception {
        Table trips = table("parquet");
        List<DataFile> early = six(trips, 0);
        deleteFirst(trips, early.get(0), early.get(2));
        rewrite("");
        List<String> before = lineage(trips);
        assertThat(expire())
                .containsEntry("deleted_data_files_count", 7L)
                .containsEntry("failed_deletes_count", 0L);
        assertThat(vectorFiles(trips)).isZero();
        assertThat(lineage(trips)).isEqualTo(before);
    }

    /** One Puffin file contains the vectors of several data files, some of which are gone. */
    @Test
    void aPuffinFileIsKeptWhileOneOfItsVectorsIsNeeded() throws Exception {
        Table trips = table("parquet");
        List<DataFile> early = six(trips, 0);
        deleteFirst(trips, early.get(0), early.get(2));
        DeleteFile first =
                vectors(trips).stream()
                        .filter(v -> v.referencedDataFile().equals(early.get(0).location()))
                        .findFirst()
                        .orElseThrow();
        trips.newRewrite()
                .validateFromSnapshot(trips.currentSnapshot().snapshotId())
                .deleteFile(early.get(0))
                .deleteFile(first)
                .addFile(Lakehouse.write(trips, JAN_5, trip(1, JAN_5, 1, "b")))
                .commit();
        two(trips, 200);
        List<String> before = lineage(trips);
        assertThat(expire()).containsEntry("expired_snapshots_count", 8L);
        assertThat(vectors(trips)).hasSize(1);
        assertThat(vectorFiles(trips)).isEqualTo(1);
        assertThat(lineage(trips)).isEqualTo(before);
    }

    private void assertRefused(String name, Type type) {
        lake.catalog.createTable(
                TableIdentifier.of("silver", name),
                new Schema(
                        Types.NestedField.optional(1, "id", Types.LongType.get()),
                        Types.NestedField.optional(
                                2,
                                "place",
                                Types.StructType.of(Types.NestedField.optional(3, "what", type)))),
                PartitionSpec.unpartitioned(),
                Map.of("format-version", "3"));
        assertThatThrownBy(() -> lake.call("rewrite_data_files('silver." + name + "')"))
                .hasMessageContaining("place.what of type " + type)
                .hasMessageContaining("Next: ");
    }

    @Test
    void typesThatFlinkDoesNotSupportAreRefused() {
        assertRefused("variants", Types.VariantType.get());
        assertRefused("unknowns", Types.UnknownType.get());
        assertRefused("shapes", Types.GeometryType.crs84());
        assertRefused("places", Types.GeographyType.crs84());
    }
}
