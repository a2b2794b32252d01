package lakehouse.eventtime;

import static lakehouse.eventtime.EventTimeJob.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import lakehouse.SqlCluster;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.flink.TableLoader;
import org.apache.iceberg.flink.source.IcebergSource;
import org.apache.iceberg.flink.source.IcebergTableSource;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EventTimeTableTest {
    @TempDir Path folder;
    private EventTimeJob trips;

    @BeforeEach
    void open() throws Exception {
        trips = new EventTimeJob(folder);
    }

    @AfterEach
    void close() throws Exception {
        trips.close();
    }

    /**
     * Trips of three windows and watermarks until 10:30 in each of six zones, thus of six files.
     */
    private void commitSixZones() throws Exception {
        trips.commit(
                IntStream.range(0, 6)
                        .boxed()
                        .flatMap(
                                i ->
                                        Stream.of(
                                                trip(i, "z" + i, "10:44:59", "10:0" + i + ":00"),
                                                trip(10 + i, "z" + i, "10:01:00", "10:30:00"),
                                                trip(20 + i, "z" + i, "10:14:59.999", "10:20:00"),
                                                trip(30 + i, "z" + i, "10:29:00", "09:50:00")))
                        .toArray(String[]::new));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void windowsCloseWhenACommitIsReadAndLoseNothing(int parallelism) throws Exception {
        commitSixZones();
        JobClient job = trips.session("parallelism.default", "" + parallelism).start();
        trips.awaitCounts("10:00 12", "10:15 6");
        trips.commit(
                trip(90, "z1", "10:31:00", "10:45:00"), trip(91, "z2", "10:50:00", "10:44:59"));
        trips.awaitCounts("10:00 12", "10:15 6", "10:30 7");
        trips.commit(trip(92, "z1", "11:20:00", "11:15:00"));
        trips.awaitCounts("10:00 12", "10:15 6", "10:30 7", "10:45 1");
        trips.awaitLate();
        var graph = SqlCluster.running().getExecutionGraph(job.getJobID()).get();
        assertThat(graph.getAllVertices().values())
                .filteredOn(vertex -> vertex.getName().contains("Source: "))
                .as("one task reads the table, and nothing else does")
                .singleElement()
                .satisfies(source -> assertThat(source.getParallelism()).isEqualTo(1));
    }

    @Test
    void aTripOfAClosedWindowIsLate() throws Exception {
        trips.commit(trip(1, "a", "10:01:00", "10:15:00"));
        trips.start();
        trips.awaitCounts("10:00 1");
        trips.commit(trip(2, "a", "10:14:59", "10:30:00"), trip(3, "b", "10:16:00", "10:10:00"));
        trips.awaitCounts("10:00 1", "10:15 1");
        trips.awaitLate("2 10:00");
    }

    /** Flink's watermark includes its own millisecond: 10:14:59.999 would close the window. */
    @Test
    void aWatermarkThatIsAMillisecondShortClosesNoWindow() throws Exception {
        trips.commit(trip(1, "a", "10:01:00", "10:14:59.999999"), trip(2, "a", "09:59:00", null));
        trips.start();
        trips.awaitCounts("09:45 1");
        trips.commit(trip(3, "a", "10:14:00", "10:15:00"));
        trips.awaitCounts("09:45 1", "10:00 2");
        trips.awaitLate();
    }

    @Test
    void rowsWithoutAWatermarkCountAndCloseNothing() throws Exception {
        trips.commit(trip(1, "a", "10:01:00", null), trip(2, "b", "10:20:00", null));
        trips.start();
        trips.commit(trip(3, "a", "10:02:00", "10:15:00"), trip(4, "a", "10:03:00", null));
        trips.awaitCounts("10:00 3");
        trips.commit(trip(5, "a", "10:21:00", null));
        trips.commit(trip(6, "a", "10:22:00", "10:30:00"));
        trips.awaitCounts("10:00 3", "10:15 3");
        trips.awaitLate();
    }

    @Test
    void aSavepointContinuesWindowsAndKnowsWhichAreClosed() throws Exception {
        commitSixZones();
        trips.start();
        trips.awaitCounts("10:00 12", "10:15 6");
        trips.stop();
        trips.commit(
                trip(90, "z1", "10:14:00", "10:40:00"),
                trip(91, "z2", "10:32:00", "10:45:00"),
                trip(92, "z3", "10:29:59", null));
        trips.start();
        trips.awaitCounts("10:00 12", "10:15 6", "10:30 7");
        trips.awaitLate("90 10:00", "92 10:15");
    }

    @Test
    void aSavepointInTheMiddleOfACommitLosesNothing() throws Exception {
        commitSixZones();
        for (int i = 0; i < 3; i++) {
            trips.start();
            trips.awaitRunning();
            trips.stop();
        }
        trips.start();
        trips.awaitCounts("10:00 12", "10:15 6");
        trips.commit(trip(90, "z1", "10:31:00", "10:45:00"));
        trips.awaitCounts("10:00 12", "10:15 6", "10:30 7");
        trips.awaitLate();
    }

    @Test
    void aFailureInTheMiddleOfACommitLosesNothing() throws Exception {
        trips.commit(trip(80, "z9", "10:02:00", "10:00:00"));
        trips.start();
        EventTimeJob.FailsOnce.trip = 23;
        commitSixZones();
        trips.commit(trip(90, "z1", "10:31:00", "10:45:00"));
        trips.awaitCounts("10:00 13", "10:15 6", "10:30 7");
        trips.awaitLate();
        assertThat(EventTimeJob.FailsOnce.trip).as("the trip that was to fail").isNull();
    }

    @Test
    void aTableThatIsReadOnceClosesAllWindows() throws Exception {
        commitSixZones();
        trips.reading("streaming", "false").start();
        trips.awaitEnd();
        trips.awaitCounts("10:00 12", "10:15 6", "10:30 6");
        trips.awaitLate();
    }

    @ParameterizedTest
    @CsvSource({"nothing", "note", "watermark_At"})
    void aColumnThatIsNoTimestampIsNamed(String column) throws Exception {
        var sql = trips.reading("event-time.watermark-column", column).stream();
        assertThatThrownBy(() -> sql.explainSql("SELECT * FROM trips"))
                .hasStackTraceContaining(
                        "event-time.watermark-column is '%s', which is not a TIMESTAMP column of"
                                .formatted(column))
                .hasStackTraceContaining("trips. Next: set it to the column with the watermark");
    }

    @Test
    void aMissingColumnIsNamed() throws Exception {
        var sql = trips.reading("event-time.watermark-column", null).stream();
        assertThatThrownBy(() -> sql.explainSql("SELECT * FROM trips"))
                .hasStackTraceContaining(
                        "event-time.watermark-column is missing. Next: set it to the column");
    }

    @Test
    void aQueryWithoutTheWatermarkIsRefused() throws Exception {
        var sql = trips.stream();
        assertThatThrownBy(() -> sql.explainSql("SELECT id, event_time FROM trips"))
                .hasStackTraceContaining(
                        "event-time.watermark-column is 'watermark_at', which the query does not"
                                + " use, so it would have no watermark. Next: select the column");
        assertThat(sql.explainSql("SELECT id, watermark_at FROM trips"))
                .contains("project=[id, watermark_at, dropped_off_at]");
    }

    @Test
    void icebergsOlderSourceIsRefused() throws Exception {
        var sql = trips.session("table.exec.iceberg.use-flip27-source", "false").stream();
        assertThatThrownBy(() -> sql.explainSql("SELECT * FROM trips"))
                .hasStackTraceContaining("Next: set table.exec.iceberg.use-flip27-source to true");
    }

    /** As later versions of Iceberg do. */
    @Test
    void icebergMayGiveItsSourceAsSuch() {
        var schema = ResolvedSchema.of();
        IcebergSource<RowData> source =
                IcebergSource.forRowData()
                        .tableLoader(
                                TableLoader.fromHadoopTable(
                                        "file://%s/warehouse/live/trips".formatted(folder)))
                        .streaming(true)
                        .build();
        var iceberg =
                new IcebergTableSource(null, schema, Map.of(), new Configuration()) {
                    @Override
                    public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
                        return SourceProvider.of(source);
                    }
                };
        var type = DataTypes.ROW(DataTypes.FIELD("watermark_at", DataTypes.TIMESTAMP(6)));
        var provider =
                (SourceProvider)
                        new EventTimeTableSource(iceberg, type, "watermark_at")
                                .getScanRuntimeProvider(null);
        assertThat(provider.createSource())
                .isInstanceOf(EventTimeSource.class)
                .satisfies(
                        made ->
                                assertThat(made.getBoundedness())
                                        .isEqualTo(Boundedness.CONTINUOUS_UNBOUNDED));
    }
}
