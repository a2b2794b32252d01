package lakehouse;

import static lakehouse.Values.text;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.GenericAppenderFactory;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.OutputFileFactory;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A rewrite preserves all values, bit for bit. */
class RewriteValuesTest {
    private static final Schema TIMES =
            new Schema(
                    Types.NestedField.optional(1, "id", Types.LongType.get()),
                    Types.NestedField.optional(2, "at", Types.TimeType.get()));

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

    private Table table(Schema schema, String format) {
        return table(schema, format, 2);
    }

    private Table table(Schema schema, String format, int version) {
        return lake.catalog.createTable(
                TableIdentifier.of("silver", "all"),
                schema,
                PartitionSpec.unpartitioned(),
                Map.of("format-version", String.valueOf(version), "write.format.default", format));
    }

    private static DataFile write(Table table, List<Record> rows) throws Exception {
        FileFormat format = FileFormat.fromString(table.properties().get("write.format.default"));
        var files =
                OutputFileFactory.builderFor(table, 0, System.nanoTime()).format(format).build();
        var writer =
                new GenericAppenderFactory(table.schema(), table.spec())
                        .newDataWriter(files.newOutputFile(), format, null);
        try (writer) {
            rows.forEach(writer::write);
        }
        return writer.toDataFile();
    }

    private static List<Record> records(Table table) throws Exception {
        table.refresh();
        try (CloseableIterable<Record> records = IcebergGenerics.read(table).build()) {
            List<Record> all = new ArrayList<>();
            records.forEach(all::add);
            return all;
        }
    }

    private static List<String> texts(Table table) throws Exception {
        return records(table).stream().map(row -> text(row)).sorted().toList();
    }

    private static Record time(long id, LocalTime at) {
        return GenericRecord.create(TIMES).copy(Map.of("id", id, "at", at));
    }

    private static LocalTime micros(long micros) {
        return LocalTime.ofNanoOfDay(micros * 1_000);
    }

    private void assertUnchanged(int version, String arguments) throws Exception {
        Values values = new Values(new Random(3), version);
        Table all = table(values.schema(), "parquet", version);
        for (int file = 0; file < 6; file++) {
            List<Record> rows = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                rows.add(values.row(all.schema()));
            }
            all.newAppend().appendFile(write(all, rows)).commit();
        }
        List<String> before = texts(all);
        assertThat(lake.call("rewrite_data_files(`table` => 'silver.all'" + arguments + ")"))
                .containsEntry("rewritten_rows", 240L);
        List<String> after = texts(all);
        for (int i = 0; i < before.size(); i++) {
            assertThat(after.get(i).lines())
                    .containsExactlyElementsOf(before.get(i).lines().toList());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void valuesOfEveryTypeArePreserved(int version) throws Exception {
        assertUnchanged(version, "");
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void sortedValuesOfEveryTypeArePreserved(int version) throws Exception {
        assertUnchanged(
                version, ", strategy => 'sort', sort_order => 'o_time DESC, o_double, o_uuid'");
    }

    @Test
    void timesInPartitionsKeepTheirMicroseconds() throws Exception {
        Table times = table(TIMES, "parquet");
        for (int i = 0; i < 6; i++) {
            times.newAppend()
                    .appendFile(write(times, List.of(time(i, micros(1_000 + i % 2)))))
                    .commit();
        }
        times.updateSpec().addField("at").commit();
        List<String> before = texts(times);
        for (int i = 0; i < 2; i++) {
            assertThat(
                            lake.call(
                                    "rewrite_data_files(`table` => 'silver.all', rewrite_all =>"
                                            + " true)"))
                    .containsEntry("added_data_files_count", 2L);
            assertThat(texts(times)).isEqualTo(before);
        }
    }

    @Test
    void timesAreSortedByTheirMicroseconds() throws Exception {
        Table times = table(TIMES, "parquet");
        for (int micros : new int[] {7_003, 7_000, 7_005, 7_001, 7_004, 7_002}) {
            times.newAppend().appendFile(write(times, List.of(time(1, micros(micros))))).commit();
        }
        lake.call(
                "rewrite_data_files(`table` => 'silver.all', strategy => 'sort', sort_order =>"
                        + " 'at')");
        assertThat(records(times))
                .extracting(row -> row.getField("at"))
                .isEqualTo(IntStream.range(7_000, 7_006).mapToObj(i -> micros(i)).toList());
    }

    @Test
    void deletesOfTimesAreExactToTheMicrosecond() throws Exception {
        Table times = table(TIMES, "parquet");
        for (int i = 0; i < 6; i++) {
            times.newAppend()
                    .appendFile(write(times, List.of(time(i, micros(7_000 + i)))))
                    .commit();
        }
        Schema deletes = TIMES.select("at");
        var writer =
                new GenericAppenderFactory(times.schema(), times.spec(), new int[] {2}, deletes)
                        .newEqDeleteWriter(
                                Lakehouse.newFile(times, null), FileFormat.PARQUET, null);
        try (writer) {
            writer.write(GenericRecord.create(deletes).copy(Map.of("at", micros(7_003))));
        }
        times.newRowDelta().addDeletes(writer.toDeleteFile()).commit();
        assertThat(lake.call("rewrite_data_files('silver.all')"))
                .containsEntry("rewritten_rows", 5L);
        assertThat(texts(times)).hasSize(5).noneMatch(row -> row.contains(".007003"));
    }

    @Test
    void timesInFilesOfAnotherFormatAreRefused() throws Exception {
        Table times = table(TIMES, "avro");
        for (int i = 0; i < 6; i++) {
            times.newAppend()
                    .appendFile(write(times, List.of(time(i, micros(7_000 + i)))))
                    .commit();
        }
        List<String> before = texts(times);
        assertThatThrownBy(() -> lake.call("rewrite_data_files('silver.all')"))
                .hasMessageContaining("times of day (at)")
                .hasMessageContaining("AVRO")
                .hasMessageContaining("Next: ");
        assertThat(texts(times)).isEqualTo(before);
    }
}
