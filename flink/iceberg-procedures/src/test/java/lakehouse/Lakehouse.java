package lakehouse;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;
import org.apache.iceberg.AppendFiles;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.PartitionData;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.SupportsNamespaces;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.encryption.EncryptedOutputFile;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.sink.FlinkFileWriterFactory;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.DataWriter;
import org.apache.iceberg.io.OutputFileFactory;
import org.apache.iceberg.types.Types;

/** A warehouse in a folder, with its catalog for Iceberg's API and a SQL session. */
final class Lakehouse implements AutoCloseable {
    static final Schema TRIPS =
            new Schema(
                    Types.NestedField.optional(1, "id", Types.LongType.get()),
                    Types.NestedField.optional(2, "day", Types.DateType.get()),
                    Types.NestedField.optional(3, "hour", Types.IntegerType.get()),
                    Types.NestedField.optional(4, "zone", Types.StringType.get()),
                    Types.NestedField.optional(5, "fare", Types.DecimalType.of(10, 2)),
                    Types.NestedField.optional(6, "at", Types.TimestampType.withZone()));
    static final PartitionSpec BY_DAY = PartitionSpec.builderFor(TRIPS).identity("day").build();
    static final LocalDate JAN_5 = LocalDate.of(2024, 1, 5);
    static final LocalDate JAN_6 = LocalDate.of(2024, 1, 6);

    /** A time in SQL, to the millisecond. */
    static final DateTimeFormatter LITERAL =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSS").withZone(ZoneOffset.UTC);

    final Path folder;
    final Map<String, String> options = new HashMap<>();
    final Configuration session;
    final Catalog catalog;
    private TableEnvironment sql;

    Lakehouse(Path folder) throws Exception {
        this(folder, "org.apache.iceberg.jdbc.JdbcCatalog");
    }

    Lakehouse(Path folder, String catalogImpl) throws Exception {
        this.folder = folder;
        session = Cluster.running().session();
        options.put("catalog-impl", catalogImpl);
        String database = "jdbc:sqlite:" + folder.resolve("catalog.db");
        options.put("uri", database + "?busy_timeout=10000&synchronous=OFF");
        options.put("warehouse", "file://" + folder.resolve("warehouse"));
        options.put("jdbc.schema-version", "V1");
        options.put("maintenance.state-dir", "file://" + folder.resolve("state"));
        Files.createDirectories(folder.resolve("state"));
        Map<String, String> own = new HashMap<>(options);
        own.put("catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog");
        catalog =
                CatalogUtil.buildIcebergCatalog(
                        "lake", own, new org.apache.hadoop.conf.Configuration());
        ((SupportsNamespaces) catalog).createNamespace(Namespace.of("silver"));
    }

    TableEnvironment sql() {
        if (sql == null) {
            sql =
                    TableEnvironment.create(
                            EnvironmentSettings.newInstance()
                                    .inStreamingMode()
                                    .withConfiguration(session)
                                    .build());
            String with =
                    options.entrySet().stream()
                            .map(
                                    option ->
                                            "'"
                                                    + option.getKey()
                                                    + "' = '"
                                                    + option.getValue()
                                                    + "'")
                            .collect(Collectors.joining(", "));
            sql.executeSql(
                    "CREATE CATALOG lake WITH ('type' = 'iceberg-procedures', " + with + ")");
        }
        return sql;
    }

    /** The single result row of a procedure, by column. */
    Map<String, Object> call(String call) {
        List<Map<String, Object>> rows = query("CALL lake.`system`." + call);
        if (rows.size() != 1) {
            throw new AssertionError(call + " gave " + rows);
        }
        return rows.get(0);
    }

    List<Map<String, Object>> query(String statement) {
        return query(sql(), statement);
    }

    /** All rows of a statement, by column; rows of a procedure have no column names. */
    static List<Map<String, Object>> query(TableEnvironment sql, String statement) {
        var result = sql.executeSql(statement);
        List<String> names = result.getResolvedSchema().getColumnNames();
        List<Map<String, Object>> rows = new ArrayList<>();
        try (CloseableIterator<Row> iterator = result.collect()) {
            while (iterator.hasNext()) {
                Row row = iterator.next();
                Map<String, Object> named = new HashMap<>();
                for (int i = 0; i < names.size(); i++) {
                    named.put(names.get(i), row.getField(i));
                }
                rows.add(named);
            }
        } catch (Exception error) {
            throw new AssertionError(error);
        }
        return rows;
    }

    /** A streaming job that reads the trips. */
    JobClient reader() {
        sql().executeSql(
                        "CREATE TEMPORARY TABLE nowhere (id BIGINT) WITH ('connector' = 'blackhole')");
        return sql().executeSql(
                        "INSERT INTO nowhere SELECT id FROM lake.silver.trips /*+"
                                + " OPTIONS('streaming' = 'true') */")
                .getJobClient()
                .orElseThrow();
    }

    Table trips() {
        return table("silver.trips", BY_DAY, Map.of());
    }

    Table table(String name, PartitionSpec spec, Map<String, String> properties) {
        Map<String, String> all = new HashMap<>(Map.of("format-version", "2"));
        all.putAll(properties);
        return catalog.createTable(TableIdentifier.parse(name), TRIPS, spec, all);
    }

    Table load(String name) {
        return catalog.loadTable(TableIdentifier.parse(name));
    }

    static RowData trip(long id, LocalDate day, Integer hour, String zone) {
        return GenericRowData.of(
                id,
                (int) day.toEpochDay(),
                hour,
                StringData.fromString(zone),
                DecimalData.fromBigDecimal(BigDecimal.valueOf(id, 2), 10, 2),
                TimestampData.fromEpochMillis(
                        1_704_400_000_000L + id * 1000, (int) (id % 1000) * 1000));
    }

    /** Adds one snapshot with one file for one day. */
    static DataFile append(Table table, LocalDate day, RowData... rows) throws IOException {
        DataFile file = write(table, day, rows);
        append(table, List.of(file));
        return file;
    }

    /** Adds one snapshot with all these files, because a commit takes longer than a file. */
    static void append(Table table, List<DataFile> files) {
        AppendFiles append = table.newFastAppend();
        files.forEach(append::appendFile);
        append.commit();
    }

    /** Commits like Flink's sink. */
    static long commit(
            Table table,
            String job,
            String operator,
            long checkpoint,
            LocalDate day,
            RowData... rows)
            throws IOException {
        var append = table.newFastAppend().appendFile(write(table, day, rows));
        append.set("flink.job-id", job);
        append.set("flink.operator-id", operator);
        append.set("flink.max-committed-checkpoint-id", String.valueOf(checkpoint));
        append.commit();
        return table.currentSnapshot().snapshotId();
    }

    /** Adds two files with one row each to every partition, starting with {@link #JAN_5}. */
    static void twoFilesADay(Table trips, int days) throws IOException {
        List<DataFile> files = new ArrayList<>();
        for (int i = 0; i < days; i++) {
            LocalDate day = JAN_5.plusDays(i);
            files.add(write(trips, day, trip(i, day, 1, "a")));
            files.add(write(trips, day, trip(100 + i, day, 2, "b")));
        }
        append(trips, files);
    }

    static DataFile write(Table table, LocalDate day, RowData... rows) throws IOException {
        EncryptedOutputFile file = newFile(table, day);
        DataWriter<RowData> writer =
                writers(table).newDataWriter(file, table.spec(), partition(table, day));
        try (writer) {
            Arrays.stream(rows).forEach(writer::write);
        }
        return writer.toDataFile();
    }

    /** A delete file for the rows with these IDs, not committed yet. */
    static DeleteFile deletesOf(Table table, LocalDate day, long... ids) throws IOException {
        var writer =
                writers(table)
                        .newEqualityDeleteWriter(
                                newFile(table, day), table.spec(), partition(table, day));
        try (writer) {
            Arrays.stream(ids).mapToObj(GenericRowData::of).forEach(writer::write);
        }
        return writer.toDeleteFile();
    }

    static FlinkFileWriterFactory writers(Table table) {
        return new FlinkFileWriterFactory.Builder(table)
                .dataFileFormat(FileFormat.PARQUET)
                .dataSchema(table.schema())
                .dataFlinkType(FlinkSchemaUtil.convert(table.schema()))
                .deleteFileFormat(FileFormat.PARQUET)
                .equalityFieldIds(new int[] {1})
                .equalityDeleteRowSchema(table.schema().select("id"))
                .writerProperties(table.properties())
                .build();
    }

    static EncryptedOutputFile newFile(Table table, LocalDate day) {
        OutputFileFactory files =
                OutputFileFactory.builderFor(table, 0, System.nanoTime())
                        .format(FileFormat.PARQUET)
                        .build();
        StructLike partition = partition(table, day);
        return partition == null
                ? files.newOutputFile()
                : files.newOutputFile(table.spec(), partition);
    }

    static StructLike partition(Table table, LocalDate day) {
        if (table.spec().isUnpartitioned()) {
            return null;
        }
        PartitionData partition = new PartitionData(table.spec().partitionType());
        partition.set(0, (int) day.toEpochDay());
        return partition;
    }

    /** Every row of the table as text, sorted. */
    static List<String> rows(Table table) throws IOException {
        table.refresh();
        try (CloseableIterable<Record> records = IcebergGenerics.read(table).build()) {
            List<String> rows = new ArrayList<>();
            // With deletes applied, records have more fields than the table.
            int width = table.schema().columns().size();
            records.forEach(
                    record ->
                            rows.add(
                                    IntStream.range(0, width)
                                            .mapToObj(i -> String.valueOf(record.get(i)))
                                            .collect(Collectors.joining(", ", "(", ")"))));
            return rows.stream().sorted().toList();
        }
    }

    /** The files of the current snapshot. */
    static List<DataFile> files(Table table) throws IOException {
        table.refresh();
        List<DataFile> files = new ArrayList<>();
        try (var tasks = table.newScan().includeColumnStats().planFiles()) {
            tasks.forEach(task -> files.add(task.file()));
        }
        return files;
    }

    /** The files in a folder, at any depth, except Hadoop's checksums. */
    static List<Path> onDisk(String location) throws IOException {
        Path root = Path.of(location.replaceFirst("^file:/*", "/"));
        if (!Files.exists(root)) {
            return List.of();
        }
        try (Stream<Path> paths = Files.walk(root)) {
            return paths.filter(Files::isRegularFile)
                    .filter(p -> !p.getFileName().toString().startsWith("."))
                    .sorted()
                    .toList();
        }
    }

    @Override
    public void close() throws Exception {
        ((AutoCloseable) catalog).close();
    }
}
