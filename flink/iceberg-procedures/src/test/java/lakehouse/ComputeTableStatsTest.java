package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.JAN_6;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import lakehouse.statistics.TableStatistics;
import org.apache.datasketches.memory.Memory;
import org.apache.datasketches.theta.CompactSketch;
import org.apache.datasketches.theta.HashIterator;
import org.apache.datasketches.theta.Sketch;
import org.apache.datasketches.theta.UpdateSketch;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.BlobMetadata;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StatisticsFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.data.parquet.GenericParquetWriter;
import org.apache.iceberg.io.DataWriter;
import org.apache.iceberg.parquet.Parquet;
import org.apache.iceberg.puffin.Puffin;
import org.apache.iceberg.puffin.PuffinReader;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Statistics as other engines read them: from the table's metadata and from the Puffin file. */
class ComputeTableStatsTest {
    private static final String TRIPS = "compute_table_stats(`table` => 'silver.trips'";

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

    private static StatisticsFile statistics(Table table, long snapshot) {
        table.refresh();
        return table.statisticsFiles().stream()
                .filter(file -> file.snapshotId() == snapshot)
                .findFirst()
                .orElseThrow();
    }

    /** The counts by column, from the table's metadata. */
    private static Map<String, Long> counts(Table table, long snapshot) {
        Map<String, Long> counts = new HashMap<>();
        for (BlobMetadata blob : statistics(table, snapshot).blobMetadata()) {
            assertThat(blob.type()).isEqualTo("apache-datasketches-theta-v1");
            assertThat(blob.sourceSnapshotId()).isEqualTo(snapshot);
            assertThat(blob.sourceSnapshotSequenceNumber())
                    .isEqualTo(table.snapshot(snapshot).sequenceNumber());
            counts.put(
                    table.schema().findColumnName(blob.fields().get(0)),
                    Long.valueOf(blob.properties().get("ndv")));
        }
        return counts;
    }

    /** The counts by column, from the Puffin file. */
    private static Map<Integer, Sketch> sketches(Table table, StatisticsFile file)
            throws Exception {
        Map<Integer, Sketch> sketches = new HashMap<>();
        try (PuffinReader reader =
                Puffin.read(table.io().newInputFile(file.path()))
                        .withFileSize(file.fileSizeInBytes())
                        .withFooterSize(file.fileFooterSizeInBytes())
                        .build()) {
            var footer = reader.fileMetadata();
            assertThat(footer.properties().get("created-by")).contains("Iceberg", "Flink");
            for (var blob : reader.readAll(footer.blobs())) {
                byte[] theta = new byte[blob.second().remaining()];
                blob.second().get(theta);
                sketches.put(
                        blob.first().inputFields().get(0), CompactSketch.wrap(Memory.wrap(theta)));
            }
        }
        return sketches;
    }

    private static RowData[] trips(LocalDate day, long from, long to) {
        return LongStream.range(from, to)
                .mapToObj(id -> trip(id, day, (int) (id % 24), id % 7 == 0 ? null : "z" + id % 100))
                .toArray(RowData[]::new);
    }

    @Test
    void manyValuesAreEstimatedAndFewAreCounted() throws Exception {
        lake.session.set(CoreOptions.DEFAULT_PARALLELISM, 2);
        // One scan task per file, so that both subtasks have several to merge.
        Table trips =
                lake.table(
                        "silver.trips",
                        Lakehouse.BY_DAY,
                        Map.of(TableProperties.SPLIT_SIZE, "1000"));
        append(trips, JAN_5, trips(JAN_5, 0, 20_000));
        append(trips, JAN_5, trips(JAN_5, 10_000, 35_000));
        append(trips, JAN_6, trips(JAN_6, 30_000, 50_000));
        long snapshot = trips.currentSnapshot().snapshotId();

        Object path = lake.call(TRIPS + ")").get("statistics_file");

        StatisticsFile file = statistics(trips, snapshot);
        assertThat(file.path()).isEqualTo(path);
        assertThat(written(trips)).hasSize(1);
        assertThat(file.fileSizeInBytes())
                .isEqualTo(Files.size(Path.of(file.path().replaceFirst("^file:", ""))));
        Map<String, Long> counts = counts(trips, snapshot);
        assertThat(counts).containsOnlyKeys("id", "day", "hour", "zone", "fare", "at");
        for (String column : List.of("id", "fare", "at")) {
            assertThat(counts.get(column)).isCloseTo(50_000L, within(1_000L));
        }
        assertThat(counts)
                .containsEntry("day", 2L)
                .containsEntry("hour", 24L)
                .containsEntry("zone", 100L);
        sketches(trips, file)
                .forEach(
                        (column, sketch) ->
                                assertThat((long) sketch.getEstimate())
                                        .isEqualTo(
                                                counts.get(trips.schema().findColumnName(column))));
        assertThat(lake.query("SELECT id FROM lake.silver.trips WHERE id = 49999")).hasSize(1);
    }

    @Test
    void deletedRowsAreNotCounted() throws Exception {
        Table trips = lake.trips();
        append(trips, JAN_5, trips(JAN_5, 1, 11));
        trips.newRowDelta().addDeletes(Lakehouse.deletesOf(trips, JAN_5, 1, 2, 3)).commit();
        // The deletes are by a column that is not requested.
        lake.call(TRIPS + ", columns => 'fare, hour')");
        assertThat(counts(trips, trips.currentSnapshot().snapshotId()))
                .isEqualTo(Map.of("fare", 7L, "hour", 7L));
    }

    @Test
    void anEarlierSnapshotHasItsOwnStatistics() throws Exception {
        Table trips = lake.trips();
        append(trips, JAN_5, trips(JAN_5, 1, 4));
        long first = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trips(JAN_5, 4, 9));
        long second = trips.currentSnapshot().snapshotId();
        trips.updateSchema().renameColumn("hour", "full_hour").commit();
        lake.call(TRIPS + ", snapshot_id => " + first + ", columns => 'hour,id')");
        lake.call(TRIPS + ")");
        assertThat(counts(trips, first)).isEqualTo(Map.of("full_hour", 3L, "id", 3L));
        assertThat(counts(trips, second)).containsEntry("id", 8L);
        assertThatThrownBy(() -> lake.call(TRIPS + ", snapshot_id => 7)"))
                .hasMessageContaining("no snapshot 7");

        String expired =
                "expire_snapshots(`table` => 'silver.trips', older_than => TIMESTAMP '2100-01-01"
                        + " 00:00:00')";
        String firstFile = statistics(trips, first).path().replaceFirst("^file:", "");
        String secondFile = statistics(trips, second).path().replaceFirst("^file:", "");
        assertThat(lake.call(expired))
                .containsEntry("expired_snapshots_count", 1L)
                .containsEntry("deleted_statistics_files_count", 1L);
        assertThat(Path.of(firstFile)).doesNotExist();
        assertThat(Path.of(secondFile)).exists();
    }

    @Test
    void onlyColumnsThatCanHaveStatistics() throws Exception {
        Schema schema =
                new Schema(
                        Types.NestedField.optional(1, "id", Types.LongType.get()),
                        Types.NestedField.optional(2, "time", Types.TimeType.get()),
                        Types.NestedField.optional(
                                3, "tags", Types.ListType.ofOptional(4, Types.StringType.get())));
        lake.catalog.createTable(TableIdentifier.parse("silver.trips"), schema);
        assertThatThrownBy(() -> lake.call(TRIPS + ")"))
                .hasMessageContaining("has no snapshot yet");
        lake.load("silver.trips").newAppend().commit();
        for (String column : List.of("time", "tags", "tags.element")) {
            assertThatThrownBy(() -> lake.call(TRIPS + ", columns => 'id, " + column + "')"))
                    .hasMessageContaining("columns => '" + column + "' of type")
                    .hasMessageContaining("cannot have statistics");
        }
        assertThatThrownBy(() -> lake.call(TRIPS + ", columns => 'ID')"))
                .hasMessageContaining("'ID' is not a column")
                .hasMessageContaining("[id, time, tags]");
        assertThatThrownBy(() -> lake.call(TRIPS + ", columns => 'id,')"))
                .hasMessageContaining("not of the form 'a,b'");
        lake.call(TRIPS + ")");
        Table trips = lake.load("silver.trips");
        assertThat(counts(trips, trips.currentSnapshot().snapshotId())).isEqualTo(Map.of("id", 0L));
    }

    /** Engines compare and merge each other's sketches, so the hashed bytes must be the same. */
    @Test
    void valuesOfAllTypesAreHashedAsIcebergStoresThem() throws Exception {
        Schema schema =
                new Schema(
                        Types.NestedField.optional(1, "yes", Types.BooleanType.get()),
                        Types.NestedField.optional(2, "small", Types.IntegerType.get()),
                        Types.NestedField.optional(3, "large", Types.LongType.get()),
                        Types.NestedField.optional(4, "real", Types.FloatType.get()),
                        Types.NestedField.optional(5, "double", Types.DoubleType.get()),
                        Types.NestedField.optional(6, "day", Types.DateType.get()),
                        Types.NestedField.optional(7, "at", Types.TimestampType.withZone()),
                        Types.NestedField.optional(8, "local", Types.TimestampType.withoutZone()),
                        Types.NestedField.optional(9, "text", Types.StringType.get()),
                        Types.NestedField.optional(10, "uuid", Types.UUIDType.get()),
                        Types.NestedField.optional(11, "fixed", Types.FixedType.ofLength(3)),
                        Types.NestedField.optional(12, "bytes", Types.BinaryType.get()),
                        Types.NestedField.optional(13, "price", Types.DecimalType.of(30, 4)),
                        Types.NestedField.optional(
                                14,
                                "place",
                                Types.StructType.of(
                                        Types.NestedField.optional(
                                                15, "x", Types.DoubleType.get()))));
        Table table =
                lake.catalog.createTable(
                        TableIdentifier.parse("silver.trips"),
                        schema,
                        PartitionSpec.unpartitioned());
        OffsetDateTime at = OffsetDateTime.parse("2024-01-05T10:00:00.123456Z");
        UUID uuid = UUID.fromString("f79c3e09-677c-4bbd-a479-3f349cb785e7");
        GenericRecord place = GenericRecord.create(schema.findType("place").asStructType());
        place.setField("x", 0.5);
        Object[] values = {
            true,
            -1,
            1L << 40,
            1.5f,
            -0.0,
            JAN_5,
            at,
            at.toLocalDateTime(),
            "çà",
            uuid,
            new byte[] {1, 2, 3},
            ByteBuffer.wrap(new byte[] {4}),
            new BigDecimal("-1.2500"),
            place
        };
        GenericRecord row = GenericRecord.create(schema);
        for (int i = 0; i < values.length; i++) {
            row.set(i, values[i]);
        }
        append(table, List.of(write(table, row, GenericRecord.create(schema))));

        String all = "yes,small,large,real,double,day,at,local,text,uuid,fixed,bytes,price,place.x";
        lake.call(TRIPS + ", columns => '" + all + "')");

        long snapshot = table.currentSnapshot().snapshotId();
        Map<Integer, Sketch> sketches = sketches(table, statistics(table, snapshot));
        assertThat(sketches).hasSize(14);
        long micros = at.toEpochSecond() * 1_000_000 + 123_456;
        Object[] stored = {
            true,
            -1,
            1L << 40,
            1.5f,
            -0.0,
            (int) JAN_5.toEpochDay(),
            micros,
            micros,
            "çà",
            uuid,
            ByteBuffer.wrap(new byte[] {1, 2, 3}),
            ByteBuffer.wrap(new byte[] {4}),
            new BigDecimal("-1.2500"),
            null,
            0.5
        };
        for (int id : sketches.keySet()) {
            UpdateSketch expected = UpdateSketch.builder().build();
            expected.update(Conversions.toByteBuffer(schema.findType(id), stored[id - 1]));
            assertThat(hashes(sketches.get(id)))
                    .as(schema.findColumnName(id))
                    .hasSize(1)
                    .isEqualTo(hashes(expected));
        }
    }

    private static Set<Long> hashes(Sketch sketch) {
        Set<Long> hashes = new HashSet<>();
        for (HashIterator iterator = sketch.iterator(); iterator.next(); ) {
            hashes.add(iterator.get());
        }
        return hashes;
    }

    private static DataFile write(Table table, Record... rows) throws Exception {
        String path = table.locationProvider().newDataLocation("all.parquet");
        DataWriter<Record> writer =
                Parquet.writeData(table.io().newOutputFile(path))
                        .forTable(table)
                        .createWriterFunc(GenericParquetWriter::create)
                        .build();
        try (writer) {
            Stream.of(rows).forEach(writer::write);
        }
        return writer.toDataFile();
    }

    private static List<Path> written(Table table) throws Exception {
        return Lakehouse.onDisk(table.location() + "/metadata").stream()
                .filter(file -> file.toString().endsWith(".stats"))
                .toList();
    }

    @Test
    void aFileThatCannotBeReadIsAnError() throws Exception {
        Table trips = lake.trips();
        DataFile lost =
                DataFiles.builder(PartitionSpec.unpartitioned())
                        .withPath(trips.location() + "/data/lost.parquet")
                        .withFormat(FileFormat.PARQUET)
                        .withFileSizeInBytes(10)
                        .withRecordCount(1)
                        .build();
        trips.updateSpec().removeField("day").commit();
        append(trips, List.of(lost));
        assertThatThrownBy(() -> lake.call(TRIPS + ")"))
                .hasMessageContaining("statistics of table lake.silver.trips failed")
                .hasMessageContaining("lost.parquet");
        assertThat(written(trips)).isEmpty();
        trips.refresh();
        assertThat(trips.statisticsFiles()).isEmpty();
    }

    @Test
    void aSnapshotThatExpiresInTheMeantimeGetsNoStatistics() throws Exception {
        Table trips = lake.trips();
        append(trips, JAN_5, trips(JAN_5, 1, 4));
        Snapshot first = trips.currentSnapshot();
        append(trips, JAN_5, trips(JAN_5, 4, 5));
        TableStatistics statistics =
                new TableStatistics(
                        lake.load("silver.trips"),
                        first.snapshotId(),
                        null,
                        () -> {
                            trips.expireSnapshots()
                                    .expireSnapshotId(first.snapshotId())
                                    .cleanExpiredFiles(false)
                                    .commit();
                            return batch();
                        });
        assertThatThrownBy(statistics::run)
                .hasMessageContaining("Snapshot " + first.snapshotId())
                .hasMessageContaining("expired while");
        assertThat(written(trips)).isEmpty();
        trips.refresh();
        assertThat(trips.statisticsFiles()).isEmpty();
    }

    private StreamExecutionEnvironment batch() {
        lake.session.set(ExecutionOptions.RUNTIME_MODE, RuntimeExecutionMode.BATCH);
        return new StreamExecutionEnvironment(lake.session);
    }
}
