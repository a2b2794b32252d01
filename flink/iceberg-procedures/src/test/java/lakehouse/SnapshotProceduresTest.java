package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.LITERAL;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.commit;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import org.apache.flink.core.execution.JobClient;
import org.apache.iceberg.HasTableOperations;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rollbacks, branches, tags and staged snapshots. */
class SnapshotProceduresTest {
    private static final String JOB = "aaaaaa00000000000000000000000000";

    @TempDir Path folder;
    private Lakehouse lake;
    private Table trips;
    private long first;
    private long second;
    private long third;

    @BeforeEach
    void open() throws Exception {
        lake = new Lakehouse(folder);
        lake.sql().getConfig().setLocalTimeZone(ZoneOffset.UTC);
        trips = lake.trips();
        first = add(1);
        second = add(2);
        third = add(3);
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    /** A snapshot at least one millisecond, Iceberg's resolution, after all others. */
    private long add(long id) throws Exception {
        append(trips, JAN_5, trip(id, JAN_5, 1, "a"));
        Instant written = time(trips.currentSnapshot().snapshotId());
        while (!Instant.now().isAfter(written.plusMillis(2))) {
            Thread.onSpinWait();
        }
        return trips.currentSnapshot().snapshotId();
    }

    private Instant time(long snapshot) {
        return Instant.ofEpochMilli(trips.snapshot(snapshot).timestampMillis());
    }

    private long head() {
        trips.refresh();
        return trips.currentSnapshot().snapshotId();
    }

    private List<Object> ids() {
        return lake.query("SELECT id FROM lake.silver.trips").stream()
                .map(row -> row.get("id"))
                .sorted()
                .toList();
    }

    @Test
    void aRollbackGoesToAnAncestor() {
        assertThat(lake.call("rollback_to_snapshot('silver.trips', " + first + ")"))
                .isEqualTo(Map.of("previous_snapshot_id", third, "current_snapshot_id", first));
        assertThat(ids()).containsExactly(1L);
        assertThatThrownBy(() -> lake.call("rollback_to_snapshot('silver.trips', " + third + ")"))
                .hasMessageContaining("Table lake.silver.trips")
                .hasMessageContaining("not an ancestor")
                .hasMessageContaining("$snapshots");
        assertThatThrownBy(() -> lake.call("rollback_to_snapshot('silver.trips', 7)"))
                .hasMessageContaining("7");
    }

    @Test
    void aRollbackGoesToATimestamp() {
        String at = LITERAL.format(time(second));
        assertThat(lake.call("rollback_to_timestamp('silver.trips', TIMESTAMP '" + at + "')"))
                .containsEntry("current_snapshot_id", second);
        assertThatThrownBy(
                        () ->
                                lake.call(
                                        "rollback_to_timestamp('silver.trips', TIMESTAMP"
                                                + " '1999-01-01 00:00:00')"))
                .hasMessageContaining("no snapshot from 1999-01-01T00:00:00Z or earlier");
        assertThat(head()).isEqualTo(second);
    }

    @Test
    void anySnapshotCanBeMadeTheCurrentOne() {
        lake.call("rollback_to_snapshot('silver.trips', " + first + ")");
        assertThat(
                        lake.call(
                                "set_current_snapshot(`table` => 'silver.trips', snapshot_id => "
                                        + third
                                        + ")"))
                .isEqualTo(Map.of("previous_snapshot_id", first, "current_snapshot_id", third));
        lake.call("create_tag('silver.trips', 'noon', " + second + ")");
        assertThat(lake.call("set_current_snapshot(`table` => 'silver.trips', `ref` => 'noon')"))
                .containsEntry("current_snapshot_id", second);
        assertThatThrownBy(() -> lake.call("set_current_snapshot(`table` => 'silver.trips')"))
                .hasMessageContaining("Set either snapshot_id => or ref =>");
        assertThatThrownBy(
                        () ->
                                lake.call(
                                        "set_current_snapshot(`table` => 'silver.trips', `ref` =>"
                                                + " 'non')"))
                .hasMessageContaining("no branch or tag 'non'; it has [main, noon]");
    }

    @Test
    void aTableWithARestorableWriterIsNotRolledBack() throws Exception {
        long written = commit(trips, JOB, "operator", 1, JAN_5, trip(4, JAN_5, 1, "a"));
        String back = "rollback_to_snapshot(`table` => 'silver.trips', snapshot_id => " + first;
        assertThat(lake.call(back + ")")).containsEntry("previous_snapshot_id", written);
        lake.call(
                "set_current_snapshot(`table` => 'silver.trips', snapshot_id => " + written + ")");
        States.write(folder.resolve("state/checkpoints/writer/" + JOB + "/chk-1"));
        for (String call :
                List.of(
                        back,
                        "rollback_to_timestamp(`table` => 'silver.trips', `timestamp` =>"
                                + " TIMESTAMP '2100-01-01 00:00:00'",
                        "set_current_snapshot(`table` => 'silver.trips', snapshot_id => "
                                + first)) {
            assertThatThrownBy(() -> lake.call(call + ")"))
                    .as(call)
                    .hasMessageContaining("is in use: writer operator of Flink job " + JOB)
                    .hasMessageContaining("ignore_jobs => true");
        }
        assertThat(head()).isEqualTo(written);
        assertThat(lake.call(back + ", ignore_jobs => true)"))
                .containsEntry("current_snapshot_id", first);
    }

    @Test
    void aTableThatAJobReadsIsNotRolledBack() throws Exception {
        JobClient job = lake.reader();
        try {
            assertThatThrownBy(
                            () -> lake.call("rollback_to_snapshot('silver.trips', " + first + ")"))
                    .hasMessageContaining("is in use: Flink job ")
                    .hasMessageContaining(job.getJobID().toString());
        } finally {
            job.cancel().get();
        }
        assertThat(lake.call("rollback_to_snapshot('silver.trips', " + first + ")"))
                .containsEntry("current_snapshot_id", first);
    }

    @Test
    void aStagedSnapshotIsPublishedOnce() throws Exception {
        trips.newAppend()
                .appendFile(Lakehouse.write(trips, JAN_5, trip(4, JAN_5, 1, "a")))
                .set("wap.id", "night")
                .stageOnly()
                .commit();
        trips.refresh();
        assertThat(ids()).doesNotContain(4L);
        Map<String, Object> published = lake.call("publish_changes('silver.trips', 'night')");
        assertThat(published).containsEntry("current_snapshot_id", head());
        assertThat(ids()).containsExactly(1L, 2L, 3L, 4L);
        assertThatThrownBy(
                        () ->
                                lake.call(
                                        "cherrypick_snapshot('silver.trips', "
                                                + published.get("source_snapshot_id")
                                                + ")"))
                .hasMessageContaining("Table lake.silver.trips");
        assertThat(ids()).containsExactly(1L, 2L, 3L, 4L);
        assertThatThrownBy(() -> lake.call("publish_changes('silver.trips', 'day')"))
                .hasMessageContaining("no snapshot staged with wap_id => 'day'");
    }

    @Test
    void aRolledBackSnapshotCanBeCherryPicked() {
        lake.call("rollback_to_snapshot('silver.trips', " + first + ")");
        lake.call("cherrypick_snapshot('silver.trips', " + third + ")");
        assertThat(ids()).containsExactly(1L, 3L);
    }

    @Test
    void aTagKeepsASnapshotForItsRetention() {
        assertThat(lake.call("create_tag('silver.trips', 'now')"))
                .isEqualTo(Map.of("tag", "now", "snapshot_id", third));
        lake.call(
                "create_tag(`table` => 'silver.trips', tag => 'then', snapshot_id => "
                        + first
                        + ", time_retained => '7 d')");
        assertThat(
                        lake.call(
                                "create_tag_from_timestamp('silver.trips', 'at', TIMESTAMP '"
                                        + LITERAL.format(time(second))
                                        + "')"))
                .containsEntry("snapshot_id", second);
        trips.refresh();
        assertThat(trips.refs().get("then").maxRefAgeMs()).isEqualTo(Duration.ofDays(7).toMillis());
        assertThat(
                        lake.call(
                                "expire_snapshots(`table` => 'silver.trips', older_than =>"
                                        + " TIMESTAMP '2100-01-01 00:00:00')"))
                .containsEntry("expired_snapshots_count", 0L);
        assertThat(lake.call("delete_tag('silver.trips', 'then')"))
                .isEqualTo(Map.of("tag", "then", "snapshot_id", first));
        assertThat(
                        lake.call(
                                "expire_snapshots(`table` => 'silver.trips', older_than =>"
                                        + " TIMESTAMP '2100-01-01 00:00:00')"))
                .containsEntry("expired_snapshots_count", 1L);
        assertThatThrownBy(() -> lake.call("create_tag('silver.trips', 'now')"))
                .hasMessageContaining("now already exists");
        assertThatThrownBy(() -> lake.call("delete_tag('silver.trips', 'main')"))
                .hasMessageContaining("main");
        assertThatThrownBy(
                        () ->
                                lake.call(
                                        "create_tag(`table` => 'silver.trips', tag => 'b',"
                                                + " time_retained => 'long')"))
                .hasMessageContaining("time_retained => 'long' is not a duration");
    }

    @Test
    void aBranchIsIndependentUntilMainIsFastForwarded() throws Exception {
        assertThat(
                        lake.call(
                                "create_branch(`table` => 'silver.trips', branch => 'audit',"
                                        + " time_retained => '30 d', min_snapshots_to_keep => 2,"
                                        + " snapshots_retained => '12 h')"))
                .isEqualTo(Map.of("branch", "audit", "snapshot_id", third));
        trips.refresh();
        var ref = trips.refs().get("audit");
        assertThat(ref.maxRefAgeMs()).isEqualTo(Duration.ofDays(30).toMillis());
        assertThat(ref.minSnapshotsToKeep()).isEqualTo(2);
        assertThat(ref.maxSnapshotAgeMs()).isEqualTo(Duration.ofHours(12).toMillis());
        trips.newAppend()
                .appendFile(Lakehouse.write(trips, JAN_5, trip(4, JAN_5, 1, "a")))
                .toBranch("audit")
                .commit();
        long audited = trips.refs().get("audit").snapshotId();
        assertThat(ids()).doesNotContain(4L);
        assertThat(lake.call("fast_forward('silver.trips', 'main', 'audit')"))
                .isEqualTo(
                        Map.of(
                                "branch_updated",
                                "main",
                                "previous_ref",
                                third,
                                "updated_ref",
                                audited));
        assertThat(ids()).contains(4L);
        assertThat(lake.call("delete_branch('silver.trips', 'audit')"))
                .isEqualTo(Map.of("branch", "audit", "snapshot_id", audited));
        assertThatThrownBy(() -> lake.call("delete_branch('silver.trips', 'main')"))
                .hasMessageContaining("main");
        assertThatThrownBy(() -> lake.call("fast_forward('silver.trips', 'main', 'audit')"))
                .hasMessageContaining("no branch or tag 'audit'");
    }

    @Test
    void theAncestorsOfASnapshotAreListedNewestFirst() {
        assertThat(lake.query("CALL lake.sys.ancestors_of('silver.trips')"))
                .extracting(row -> row.get("snapshot_id"))
                .containsExactly(third, second, first);
        assertThat(lake.query("CALL lake.sys.ancestors_of('silver.trips', " + second + ")"))
                .first()
                .isEqualTo(
                        Map.of(
                                "snapshot_id",
                                second,
                                "timestamp",
                                trips.snapshot(second).timestampMillis()));
        assertThatThrownBy(() -> lake.query("CALL lake.sys.ancestors_of('silver.trips', 7)"))
                .hasMessageContaining("has no snapshot 7");
    }

    @Test
    void aTableIsRegisteredFromItsMetadata() {
        String metadata =
                ((HasTableOperations) trips).operations().current().metadataFileLocation();
        String call = "register_table('silver.trips', '" + metadata + "')";
        assertThatThrownBy(() -> lake.call(call)).hasMessageContaining("already exists");
        lake.catalog.dropTable(TableIdentifier.parse("silver.trips"), false);
        assertThat(lake.call(call))
                .isEqualTo(
                        Map.of(
                                "current_snapshot_id",
                                third,
                                "total_records_count",
                                3L,
                                "total_data_files_count",
                                3L));
        assertThat(ids()).containsExactly(1L, 2L, 3L);
        assertThatThrownBy(() -> lake.call("register_table('silver.other', 'file:/nowhere.json')"))
                .hasMessageContaining("silver.other is not registered from file:/nowhere.json");
    }
}
