package lakehouse;

import static lakehouse.Values.text;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import lakehouse.parquet.FileMerge;
import lakehouse.parquet.FileMerge.Merged;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.GenericAppenderFactory;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.encryption.EncryptedOutputFile;
import org.apache.iceberg.hadoop.HadoopTables;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.OutputFileFactory;
import org.apache.iceberg.types.Type.TypeID;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Merging files column by column gives the same result as writing the rows with Iceberg's own
 * writer.
 */
class FileMergeTest {
    private static final long LARGE = 1L << 30;
    private static final Set<TypeID> FLOATS = EnumSet.of(TypeID.FLOAT, TypeID.DOUBLE);
    private static final Schema NUMBERS =
            new Schema(
                    Types.NestedField.optional(1, "id", Types.LongType.get()),
                    Types.NestedField.optional(2, "name", Types.StringType.get()));

    private static final Map<String, String> SMALL_PAGES =
            Map.of(
                    "write.parquet.page-row-limit",
                    "100",
                    "write.parquet.compression-codec",
                    "uncompressed");

    @TempDir Path folder;

    private Table table(Schema schema, Map<String, String> properties) {
        return new HadoopTables()
                .create(
                        schema,
                        PartitionSpec.unpartitioned(),
                        properties,
                        folder.resolve("table").toString());
    }

    private static OutputFileFactory outputs(Table table, FileFormat format) {
        return OutputFileFactory.builderFor(table, 0, System.nanoTime()).format(format).build();
    }

    private static DataFile write(Table table, FileFormat format, List<Record> rows)
            throws Exception {
        EncryptedOutputFile file = outputs(table, format).newOutputFile();
        var writer =
                new GenericAppenderFactory(table.schema(), table.spec())
                        .setAll(table.properties())
                        .newDataWriter(file, format, null);
        try (writer) {
            rows.forEach(writer::write);
        }
        return writer.toDataFile();
    }

    private static Optional<Merged> merge(Table table, List<DataFile> files, long maxFileSize)
            throws Exception {
        OutputFileFactory outputs = outputs(table, FileFormat.PARQUET);
        return new FileMerge(table, SortOrder.unsorted())
                .merge(
                        files,
                        new PartitionKey(table.spec(), table.schema()),
                        maxFileSize,
                        outputs::newOutputFile);
    }

    private static FileMerge.Content content(Table table, List<DataFile> files) throws Exception {
        return new FileMerge(table, SortOrder.unsorted()).content(files);
    }

    /** The rows that a reader of the table finds in these files. */
    private static List<String> rows(Table table, List<DataFile> files) throws Exception {
        var append = table.newAppend();
        files.forEach(append::appendFile);
        append.commit();
        try (CloseableIterable<Record> records = IcebergGenerics.read(table).build()) {
            List<String> all = new ArrayList<>();
            records.forEach(row -> all.add(text(row)));
            return all;
        } finally {
            var delete = table.newDelete();
            files.forEach(delete::deleteFile);
            delete.commit();
        }
    }

    private static List<Record> numbers(int first, int end) {
        var row = GenericRecord.create(NUMBERS);
        return IntStream.range(first, end)
                .<Record>mapToObj(i -> row.copy("id", (long) i, "name", "number " + i))
                .toList();
    }

    private static List<DataFile> tenFiles(Table table) throws Exception {
        List<DataFile> files = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            files.add(write(table, FileFormat.PARQUET, numbers(i * 1_000, i * 1_000 + 1_000)));
        }
        return files;
    }

    /** Iceberg's writer does not count floating-point values if their struct is null. */
    private static Map<Integer, Long> comparable(Table table, Map<Integer, Long> counts) {
        Map<Integer, Long> some = new HashMap<>(counts);
        some.keySet()
                .removeIf(
                        id ->
                                table.schema().findColumnName(id).contains(".")
                                        && FLOATS.contains(table.schema().findType(id).typeId()));
        assertThat(some).hasSizeGreaterThan(counts.size() / 2);
        return some;
    }

    private long filesInFolder() throws Exception {
        try (var all = Files.walk(folder)) {
            return all.filter(path -> path.toString().endsWith(".parquet")).count();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void theNewFileHasTheMetricsOfWrittenRows(int version) throws Exception {
        Values values = new Values(new Random(5), version);
        Table table =
                table(
                        values.schema(),
                        Map.of(
                                "format-version",
                                String.valueOf(version),
                                "write.metadata.metrics.default",
                                "full"));
        List<Record> rows = new ArrayList<>();
        List<DataFile> files = new ArrayList<>();
        for (int file = 0; file < 7; file++) {
            List<Record> some = new ArrayList<>();
            for (int i = 0; i < 30; i++) {
                some.add(values.row(table.schema()));
            }
            rows.addAll(some);
            files.add(write(table, FileFormat.PARQUET, some));
        }
        DataFile expected = write(table, FileFormat.PARQUET, rows);

        Merged merged = merge(table, files, LARGE).orElseThrow();

        assertThat(merged.content()).isEqualTo(content(table, merged.files()));
        assertThat(merged.content().rows()).isEqualTo(rows.size());
        assertThat(merged.files()).hasSize(1);
        DataFile file = merged.files().get(0);
        assertThat(file.recordCount()).isEqualTo(expected.recordCount());
        assertThat(file.fileSizeInBytes())
                .isEqualTo(table.io().newInputFile(file.location()).getLength());
        assertThat(comparable(table, file.valueCounts()))
                .isEqualTo(comparable(table, expected.valueCounts()));
        assertThat(comparable(table, file.nullValueCounts()))
                .isEqualTo(comparable(table, expected.nullValueCounts()));
        assertThat(file.nanValueCounts()).isEqualTo(expected.nanValueCounts());
        assertThat(file.lowerBounds()).isEqualTo(expected.lowerBounds());
        assertThat(file.upperBounds()).isEqualTo(expected.upperBounds());
        assertThat(file.splitOffsets()).isEqualTo(expected.splitOffsets());
        assertThat(rows(table, merged.files()).equals(rows(table, List.of(expected)))).isTrue();
    }

    @Test
    void aFullFileIsFollowedByAnother() throws Exception {
        Table table = table(NUMBERS, SMALL_PAGES);
        List<DataFile> files = tenFiles(table);
        long four = 4 * files.get(0).fileSizeInBytes();

        Merged merged = merge(table, files, four).orElseThrow();

        assertThat(merged.files()).hasSizeBetween(3, 5);
        assertThat(merged.files()).allMatch(file -> file.fileSizeInBytes() < four * 1.1);
        assertThat(merged.content()).isEqualTo(content(table, merged.files()));
        assertThat(rows(table, merged.files()))
                .containsExactlyElementsOf(numbers(0, 10_000).stream().map(r -> text(r)).toList());
    }

    @Test
    void aFullRowGroupIsFollowedByAnother() throws Exception {
        Table table = table(NUMBERS, SMALL_PAGES);
        List<DataFile> files = tenFiles(table);
        table.updateProperties().set("write.parquet.row-group-size-bytes", "50000").commit();

        Merged merged = merge(table, files, LARGE).orElseThrow();

        assertThat(merged.files()).hasSize(1);
        assertThat(merged.files().get(0).splitOffsets()).hasSizeBetween(2, 9);
        assertThat(merged.content()).isEqualTo(content(table, merged.files()));
        assertThat(merged.content().rows()).isEqualTo(10_000);
    }

    @Test
    void theDigestDependsOnValuesAndTheirOrder() throws Exception {
        Table table = table(NUMBERS, Map.of());
        List<Record> rows = new ArrayList<>(numbers(0, 100));
        long digest = content(table, List.of(write(table, FileFormat.PARQUET, rows))).digest();
        Collections.swap(rows, 3, 4);
        DataFile swapped = write(table, FileFormat.PARQUET, rows);
        rows = new ArrayList<>(numbers(0, 100));
        rows.set(50, rows.get(50).copy("name", "number 51"));
        DataFile changed = write(table, FileFormat.PARQUET, rows);
        rows.set(50, rows.get(50).copy(Collections.singletonMap("name", null)));
        DataFile missing = write(table, FileFormat.PARQUET, rows);

        assertThat(
                        List.of(
                                digest,
                                content(table, List.of(swapped)).digest(),
                                content(table, List.of(changed)).digest(),
                                content(table, List.of(missing)).digest()))
                .doesNotHaveDuplicates();
    }

    @Test
    void aFileWithOtherColumnsIsNotMerged() throws Exception {
        Table table = table(NUMBERS, Map.of());
        DataFile before = write(table, FileFormat.PARQUET, numbers(0, 10));
        table.updateSchema().addColumn("more", Types.LongType.get()).commit();
        List<Record> row = List.of(GenericRecord.create(table.schema()));
        DataFile after = write(table, FileFormat.PARQUET, row);

        assertThat(merge(table, List.of(after, before), LARGE)).isEmpty();
        assertThat(filesInFolder()).isEqualTo(2);
    }

    @ParameterizedTest
    @CsvSource({
        "write.parquet.bloom-filter-enabled.column.id, true",
        "write.parquet.stats-enabled.column.id, false",
    })
    void propertiesThatOnlyIcebergsWriterSupportsPreventAMerge(String property, String value)
            throws Exception {
        Table table = table(NUMBERS, Map.of(property, value));
        DataFile file = write(table, FileFormat.PARQUET, numbers(0, 10));
        assertThat(merge(table, List.of(file), LARGE)).isEmpty();
        assertThat(filesInFolder()).isEqualTo(1);
    }

    @Test
    void filesOfAnotherFormatAreNotMerged() throws Exception {
        Table table = table(NUMBERS, Map.of());
        DataFile file = write(table, FileFormat.AVRO, numbers(0, 10));
        assertThat(merge(table, List.of(file), LARGE)).isEmpty();
    }
}
