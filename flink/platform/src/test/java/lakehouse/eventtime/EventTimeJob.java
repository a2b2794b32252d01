package lakehouse.eventtime;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import lakehouse.SqlCluster;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.ErrorInfo;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.hadoop.HadoopTables;
import org.apache.iceberg.io.CloseableIterable;

/** A table of trips, and a job that counts them in windows of 15 minutes or finds them late. */
final class EventTimeJob implements AutoCloseable {
    private static final Duration LIMIT = Duration.ofSeconds(30);
    private static final String DAY = "2024-01-05";

    private final Path folder;
    private final Map<String, String> options = new HashMap<>();
    private final Map<String, String> reading =
            new HashMap<>(
                    Map.of(
                            "connector", "iceberg-event-time",
                            "event-time.watermark-column", "watermark_at",
                            "streaming", "true",
                            // Each file is a split of its own.
                            "split-file-open-cost", "134217728",
                            "starting-strategy", "TABLE_SCAN_THEN_INCREMENTAL",
                            "monitor-interval", "100ms"));
    private JobClient job;

    EventTimeJob(Path folder) throws Exception {
        this.folder = folder;
        TableEnvironment sql = session(Map.of());
        sql.executeSql("CREATE DATABASE lake.live");
        sql.executeSql(
                "CREATE TABLE lake.live.trips (id INT, zone STRING, dropped_off_at TIMESTAMP(6),"
                        + " watermark_at TIMESTAMP(6), note STRING) PARTITIONED BY (zone)");
        sql.executeSql(
                "CREATE TABLE lake.live.counts (window_start TIMESTAMP(6), trips BIGINT, watermark_at"
                        + " TIMESTAMP(6))");
        sql.executeSql("CREATE TABLE lake.live.late (id INT, window_start TIMESTAMP(6))");
    }

    /** An option of the session that starts the job. */
    EventTimeJob session(String option, String value) {
        options.put(option, value);
        return this;
    }

    /**
     * An option of the table that is read.
     *
     * @param value null to leave it out
     */
    EventTimeJob reading(String option, String value) {
        reading.compute(option, (name, before) -> value);
        return this;
    }

    private TableEnvironment session(Map<String, String> options) throws Exception {
        TableEnvironment sql = SqlCluster.session(options);
        sql.executeSql(
                "CREATE CATALOG lake WITH ('type' = 'iceberg', 'catalog-type' = 'hadoop',"
                        + " 'warehouse' = 'file://%s/warehouse')".formatted(folder));
        sql.createTemporarySystemFunction("fails_once", FailsOnce.class);
        return sql;
    }

    static String trip(int id, String zone, String droppedOff, String watermark) {
        return "(%d, '%s', %s, %s, '')".formatted(id, zone, time(droppedOff), time(watermark));
    }

    private static String time(String hourAndMinute) {
        return hourAndMinute == null
                ? "CAST(NULL AS TIMESTAMP(6))"
                : "TIMESTAMP '%s %s'".formatted(DAY, hourAndMinute);
    }

    /** One commit, with a file for each zone. */
    void commit(String... trips) throws Exception {
        session(Map.of())
                .executeSql("INSERT INTO lake.live.trips VALUES " + String.join(", ", trips))
                .await(LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    /** A session with the table as a stream. */
    TableEnvironment stream() throws Exception {
        TableEnvironment sql = session(options);
        String with =
                reading.entrySet().stream()
                        .map(option -> "'%s' = '%s'".formatted(option.getKey(), option.getValue()))
                        .collect(Collectors.joining(", "));
        sql.executeSql(
                "CREATE TEMPORARY TABLE trips (event_time AS CAST(dropped_off_at AS TIMESTAMP(3)),"
                        + " arrived_at AS PROCTIME(), WATERMARK FOR event_time AS"
                        + " SOURCE_WATERMARK()) WITH ("
                        + with
                        + ") LIKE lake.live.trips (OVERWRITING OPTIONS)");
        return sql;
    }

    JobClient start() throws Exception {
        options.put("execution.checkpointing.interval", "200ms");
        options.put("execution.checkpointing.dir", "file://" + folder.resolve("checkpoints"));
        TableEnvironment sql = stream();
        sql.executeSql(
                "CREATE TEMPORARY VIEW timed AS SELECT *, MAX(CURRENT_WATERMARK(event_time)) OVER"
                        + " (ORDER BY arrived_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
                        + " AS reached FROM trips WHERE fails_once(id)");
        sql.executeSql(
                "CREATE TEMPORARY VIEW windowed AS SELECT * FROM TABLE(TUMBLE(TABLE timed,"
                        + " DESCRIPTOR(event_time), INTERVAL '15' MINUTE))");
        job =
                sql.createStatementSet()
                        .addInsertSql(
                                "INSERT INTO lake.live.counts SELECT window_start, COUNT(*),"
                                        + " MAX(watermark_at) FROM windowed WHERE reached IS NULL"
                                        + " OR window_end > reached GROUP BY window_start,"
                                        + " window_end")
                        .addInsertSql(
                                "INSERT INTO lake.live.late SELECT id, window_start FROM windowed"
                                        + " WHERE window_end <= reached")
                        .execute()
                        .getJobClient()
                        .orElseThrow();
        return job;
    }

    /** Waits until all tasks run, as a savepoint requires. */
    void awaitRunning() throws Exception {
        Instant end = Instant.now().plus(LIMIT);
        while (!allRun()) {
            if (Instant.now().isAfter(end)) {
                throw new AssertionError("Not all tasks of the job run after " + LIMIT);
            }
            Thread.sleep(10);
        }
    }

    private boolean allRun() throws Exception {
        var graph = SqlCluster.running().getExecutionGraph(job.getJobID()).get();
        for (var vertex : graph.getAllExecutionVertices()) {
            if (vertex.getExecutionState() != ExecutionState.RUNNING) {
                return false;
            }
        }
        return true;
    }

    /** Waits until the job has ended in any way: until then, its tasks write to the folder. */
    void awaitEnd() throws Exception {
        job.getJobExecutionResult()
                .handle((result, error) -> null)
                .get(LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    /** Stops with a savepoint, from which the next start continues. */
    void stop() throws Exception {
        String savepoint =
                job.stopWithSavepoint(
                                false,
                                "file://" + folder.resolve("savepoints"),
                                SavepointFormatType.CANONICAL)
                        .get(LIMIT.toSeconds(), TimeUnit.SECONDS);
        job = null;
        options.put("execution.state-recovery.path", savepoint);
    }

    /** Waits until the closed windows are these, each as {@code 10:15 <number of its trips>}. */
    void awaitCounts(String... counts) throws Exception {
        await("counts", row -> row.get(0).toString().substring(11) + " " + row.get(1), counts);
    }

    /**
     * Waits until the late trips are these, each as {@code <id> 10:15}, the start of its window.
     */
    void awaitLate(String... late) throws Exception {
        await("late", row -> row.get(0) + " " + row.get(1).toString().substring(11), late);
    }

    private void await(String table, Function<Record, String> text, String... expected)
            throws Exception {
        Instant end = Instant.now().plus(LIMIT);
        List<String> rows = rows(table, text);
        while (rows.size() < expected.length && Instant.now().isBefore(end)) {
            Thread.sleep(100);
            rows = rows(table, text);
        }
        if (!rows.equals(List.of(expected))) {
            ErrorInfo failure =
                    SqlCluster.running().getExecutionGraph(job.getJobID()).get().getFailureInfo();
            throw new AssertionError(
                    "Table %s has %s, not %s; the job's last failure: %s"
                            .formatted(
                                    table,
                                    rows,
                                    List.of(expected),
                                    failure == null ? "none" : failure.getExceptionAsString()));
        }
    }

    private List<String> rows(String name, Function<Record, String> text) throws IOException {
        Table table =
                new HadoopTables(new Configuration())
                        .load("file://%s/warehouse/live/%s".formatted(folder, name));
        List<String> rows = new ArrayList<>();
        try (CloseableIterable<Record> records = IcebergGenerics.read(table).build()) {
            records.forEach(record -> rows.add(text.apply(record)));
        }
        return rows.stream().sorted().toList();
    }

    @Override
    public void close() throws Exception {
        if (job != null && !job.getJobStatus().get().isGloballyTerminalState()) {
            job.cancel().get(LIMIT.toSeconds(), TimeUnit.SECONDS);
            awaitEnd();
        }
    }

    /** Passes every trip, and fails at one of them the first time. */
    public static class FailsOnce extends ScalarFunction {
        static volatile Integer trip;

        public boolean eval(Integer id) {
            if (id.equals(trip)) {
                trip = null;
                throw new IllegalStateException("Trip " + id + " fails once");
            }
            return true;
        }

        @Override
        public boolean isDeterministic() {
            return false;
        }
    }
}
