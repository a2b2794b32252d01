package lakehouse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.LocalDate;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.GenericAppenderFactory;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Conditions on columns with unusual names, and very long conditions. */
class RewriteWhereTest {
    private static final Schema SCHEMA =
            new Schema(
                    Types.NestedField.optional(1, "date", Types.DateType.get()),
                    Types.NestedField.optional(2, "a.b", Types.IntegerType.get()),
                    Types.NestedField.optional(
                            3,
                            "place",
                            Types.StructType.of(
                                    Types.NestedField.optional(4, "zone", Types.StringType.get()),
                                    Types.NestedField.optional(
                                            5,
                                            "at",
                                            Types.StructType.of(
                                                    Types.NestedField.optional(
                                                            6, "y", Types.IntegerType.get()))))));

    @TempDir Path folder;
    private Lakehouse lake;

    /** Adds three files with increasing values in all columns. */
    @BeforeEach
    void open() throws Exception {
        lake = new Lakehouse(folder);
        Table table =
                lake.catalog.createTable(
                        TableIdentifier.of("silver", "places"),
                        SCHEMA,
                        PartitionSpec.unpartitioned(),
                        Map.of("format-version", "2"));
        for (int i = 1; i <= 3; i++) {
            Record row = GenericRecord.create(SCHEMA);
            row.setField("date", LocalDate.of(2024, 1, i));
            row.setField("a.b", i);
            Record place = GenericRecord.create(SCHEMA.findType("place").asStructType());
            place.setField("zone", "z" + i);
            Record at = GenericRecord.create(SCHEMA.findType("place.at").asStructType());
            at.setField("y", i);
            place.setField("at", at);
            row.setField("place", place);
            var writer =
                    new GenericAppenderFactory(SCHEMA)
                            .newDataWriter(
                                    Lakehouse.newFile(table, null), FileFormat.PARQUET, null);
            try (writer) {
                writer.write(row);
            }
            table.newAppend().appendFile(writer.toDataFile()).commit();
        }
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    /** The number of files that a rewrite with this condition would select. */
    private long files(String where) {
        return (long)
                lake.call(
                                "rewrite_data_files(`table` => 'silver.places', `where` => '"
                                        + where.replace("'", "''")
                                        + "', rewrite_all => true, dry_run => true)")
                        .get("rewritten_data_files_count");
    }

    @Test
    void aColumnMayBeNamedByAReservedWord() {
        assertThat(files("`date` >= DATE '2024-01-02'")).isEqualTo(2);
        assertThat(files("`date` IN (DATE '2024-01-02', DATE '2024-01-09')")).isEqualTo(1);
        assertThatThrownBy(() -> files("date >= DATE '2024-01-02'"))
                .hasMessageContaining("such as date, with backticks")
                .hasMessageNotContaining("Was expecting");
    }

    @Test
    void aColumnMayHaveADotInItsName() {
        assertThat(files("`a.b` > 1")).isEqualTo(2);
    }

    @Test
    void nestedFieldsCanBeCompared() {
        assertThat(files("`place`.`zone` = 'z3'")).isEqualTo(1);
        assertThat(files("place.`at`.y > 1")).isEqualTo(2);
        assertThat(files("place.zone = 'z1' OR `date` = DATE '2024-01-03'")).isEqualTo(2);
        assertThat(files("NOT (place.`at`.y BETWEEN 2 AND 5)")).isEqualTo(1);
    }

    @Test
    void aConditionMayBeLong() {
        assertThat(
                        files(
                                IntStream.range(2, 3_002)
                                        .mapToObj(i -> "(place.`at`.y = " + i + ")")
                                        .collect(Collectors.joining(" OR "))))
                .isEqualTo(2);
        assertThat(
                        files(
                                IntStream.range(2, 1_002)
                                        .mapToObj(
                                                i ->
                                                        "(`date` = DATE '"
                                                                + LocalDate.of(2024, 1, 1)
                                                                        .plusDays(i - 1)
                                                                + "' AND `a.b` = "
                                                                + i
                                                                + ")")
                                        .collect(Collectors.joining(" OR "))))
                .isEqualTo(2);
    }
}
