package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.commit;
import static lakehouse.Lakehouse.onDisk;
import static lakehouse.Lakehouse.rows;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.StreamSupport;
import org.apache.flink.core.execution.JobClient;
import org.apache.iceberg.BaseCombinedScanTask;
import org.apache.iceberg.BlobMetadata;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.GenericStatisticsFile;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.SupportsNamespaces;
import org.apache.iceberg.exceptions.CommitStateUnknownException;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExpireSnapshotsTest {
    private static final String ALL = "older_than => TIMESTAMP '2100-01-01 00:00:00'";
    private static final String JOB_A = "aaaaaa00000000000000000000000000";
    private static final String JOB_B = "bbbbbb00000000000000000000000000";

    @TempDir Path folder;
    private Lakehouse lake;
    private Table trips;
    private final List<JobClient> jobs = new ArrayList<>();

    @BeforeEach
    void open() throws Exception {
        lake = new Lakehouse(folder);
        trips = lake.trips();
    }

    @AfterEach
    void close() throws Exception {
        LockedFileIO.locked = path -> false;
        for (JobClient job : jobs) {
            job.cancel().get();
        }
        lake.close();
    }

    private Map<String, Object> expire(String arguments) {
        return lake.call("expire_snapshots(`table` => 'silver.trips', " + arguments + ")");
    }

    private List<Long> snapshots() {
        trips.refresh();
        return StreamSupport.stream(trips.snapshots().spliterator(), false)
                .map(Snapshot::snapshotId)
                .toList();
    }

    private Map<Object, Object> protectedBy() {
        Map<Object, Object> all = new HashMap<>();
        lake.query("CALL lake.sys.protected_snapshots('silver.trips')")
                .forEach(row -> all.put(row.get("snapshot_id"), row.get("protected_by")));
        return all;
    }

    @Test
    void oldSnapshotsAreExpiredWithTheFilesThatOnlyTheyReference() throws Exception {
        var file = append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        trips.newDelete().deleteFile(file).commit();
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(3, JAN_5, 1, "a"));
        List<String> before = rows(trips);
        List<Path> disk = onDisk(trips.location());
        Map<Path, Long> sizes = new HashMap<>();
        for (Path path : disk) {
            sizes.put(path, Files.size(path));
        }

        Map<String, Object> planned = expire(ALL + ", retain_last => 2, dry_run => true");
        assertThat(onDisk(trips.location())).isEqualTo(disk);
        assertThat(snapshots()).hasSize(4);
        Map<String, Object> done = expire(ALL + ", retain_last => 2");

        assertThat(done)
                .containsEntry("expired_snapshots_count", 2L)
                .containsEntry("deleted_data_files_count", 1L);
        for (String count : done.keySet()) {
            if (count.endsWith("_count")) { // files, and bytes
                assertThat(planned).as(count).containsEntry(count, done.get(count));
            }
        }
        assertThat(snapshots()).hasSize(2);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(Path.of(file.location().replaceFirst("^file:/*", "/"))).doesNotExist();
        Set<Path> left = Set.copyOf(onDisk(trips.location()));
        assertThat(left).hasSizeLessThan(disk.size());
        long bytes = 0;
        for (Path was : disk) {
            boolean isList = was.getFileName().toString().startsWith("snap-");
            bytes += left.contains(was) || isList ? 0 : sizes.get(was);
        }
        assertThat(done).containsEntry("deleted_bytes_count", bytes);
    }

    /** A store that fails on access to any data file. */
    public static class BlindFileIO extends HadoopFileIO {
        @Override
        public InputFile newInputFile(String path) {
            if (path.endsWith(".parquet")) {
                throw new IllegalStateException(path + " was asked for");
            }
            return super.newInputFile(path);
        }
    }

    @Test
    void theStoreGetsNoRequestPerFile() throws Exception {
        lake.options.put("io-impl", BlindFileIO.class.getName());
        var file = append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        trips.newDelete().deleteFile(file).commit();
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        assertThat(expire(ALL))
                .containsEntry("deleted_data_files_count", 1L)
                .containsEntry("failed_deletes_count", 0L);
    }

    @Test
    void aManifestThatCannotBeReadLeavesTheFilesToOrphanRemoval() throws Exception {
        var file = append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        String manifest = trips.currentSnapshot().allManifests(trips.io()).get(0).path();
        trips.newDelete().deleteFile(file).commit();
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        Files.delete(Path.of(manifest.replaceFirst("^file:/*", "/")));
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining("Snapshots of table lake.silver.trips are gone")
                .hasMessageContaining("Next: remove_orphan_files takes what is left");
        assertThat(Path.of(file.location().replaceFirst("^file:/*", "/"))).exists();
        assertThat(rows(trips)).hasSize(1);
    }

    @Test
    void filesThatMayBeSharedAreKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        trips.updateProperties().set("gc.enabled", "false").commit();
        for (String dryRun : List.of("TRUE", "FALSE")) {
            assertThatThrownBy(() -> expire(ALL + ", dry_run => " + dryRun))
                    .hasMessageContaining("silver.trips has gc.enabled=false");
        }
        assertThat(snapshots()).hasSize(2);
    }

    @Test
    void snapshotsOfTheLastFiveDaysAreKeptByDefault() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        assertThat(lake.call("expire_snapshots('silver.trips')"))
                .containsEntry("expired_snapshots_count", 0L);
        assertThat(snapshots()).hasSize(2);
    }

    @Test
    void theAgeIsInTheSessionsTimeZone() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        ZoneId zone = ZoneId.of("Pacific/Kiritimati"); // 14 hours before UTC
        lake.sql().getConfig().setLocalTimeZone(zone);
        var format = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");
        String hourAgo = LocalDateTime.now(zone).minusHours(1).format(format);
        assertThat(expire("older_than => TIMESTAMP '" + hourAgo + "'"))
                .containsEntry("expired_snapshots_count", 0L);
        String inAnHour = LocalDateTime.now(zone).plusHours(1).format(format);
        assertThat(
                        expire(
                                "older_than => CAST(CURRENT_TIMESTAMP AS TIMESTAMP(3)) - INTERVAL"
                                        + " '1' HOUR"))
                .containsEntry("expired_snapshots_count", 0L);
        assertThat(expire("older_than => TIMESTAMP '" + inAnHour + "'"))
                .containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void aWritersLastCommitAndAllLaterSnapshotsAreKept() throws Exception {
        // By itself, Iceberg would expire snapshots of this age together with the named ones.
        trips.updateProperties().set("history.expire.max-snapshot-age-ms", "1").commit();
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        commit(trips, JOB_A, "op", 7, JAN_5, trip(2, JAN_5, 1, "a"));
        long marker = commit(trips, JOB_A, "op", 8, JAN_5, trip(3, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(4, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(5, JAN_5, 1, "a"));
        Map<String, Object> done = expire(ALL);
        assertThat(done).containsEntry("expired_snapshots_count", 2L);
        assertThat(snapshots()).hasSize(3).contains(marker);
        assertThat(protectedBy().get(marker))
                .asString()
                .contains("writer op of Flink job " + JOB_A + ": its last commit, checkpoint 8");
    }

    @Test
    void theLastCommitOfARestorableJobIsKeptEvenIfAnotherJobCommittedLater() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        long old = commit(trips, JOB_A, "op", 8, JAN_5, trip(1, JAN_5, 1, "a"));
        commit(trips, JOB_B, "op", 9, JAN_5, trip(2, JAN_5, 1, "a"));
        Path savepoint = folder.resolve("state/savepoints/other-job/savepoint-aaaaaa-123456");
        States.write(savepoint);
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).hasSize(2).contains(old);
        Files.delete(savepoint.resolve("_metadata"));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).hasSize(1);
    }

    @Test
    void branchesAndTagsAreKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        long tagged = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(3, JAN_5, 1, "a"));
        long branched = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(4, JAN_5, 1, "a"));
        trips.manageSnapshots()
                .createTag("audited", tagged)
                .createBranch("trial", branched)
                .commit();
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).hasSize(3).contains(tagged, branched);
        assertThat(protectedBy().get(tagged)).isEqualTo("tag audited");
    }

    @Test
    void aBranchsOwnAgeDoesNotExpireProtectedSnapshots() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        commit(trips, JOB_A, "op", 8, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        trips.manageSnapshots().setMaxSnapshotAgeMs("main", Duration.ofDays(9).toMillis()).commit();
        append(trips, JAN_5, trip(3, JAN_5, 1, "a"));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 0L);
        trips.manageSnapshots().setMaxSnapshotAgeMs("main", 1).commit();
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).hasSize(3);
    }

    @Test
    void aBranchsOwnAgeAndCountDoNotExpireProtectedSnapshots() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        commit(trips, JOB_A, "op", 8, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        trips.manageSnapshots()
                .setMaxSnapshotAgeMs("main", 1)
                .setMinSnapshotsToKeep("main", 1)
                .commit();
        assertThatThrownBy(() -> expire(ALL)).hasMessageContaining("min-snapshots-to-keep");
        assertThat(snapshots()).hasSize(3);
    }

    @Test
    void eachBranchIsKeptByItsOwnRules() throws Exception {
        for (int i = 0; i < 5; i++) {
            append(trips, JAN_5, trip(i, JAN_5, 1, "a"));
        }
        trips.manageSnapshots().createBranch("trial").setMinSnapshotsToKeep("trial", 3).commit();
        long trial = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(5, JAN_5, 1, "a"));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 2L);
        trips.manageSnapshots()
                .setMinSnapshotsToKeep("trial", 1)
                .setMaxSnapshotAgeMs("trial", Duration.ofDays(9).toMillis())
                .commit();
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 0L);
        trips.manageSnapshots().setMaxSnapshotAgeMs("trial", 1).commit();
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 2L);
        assertThat(snapshots()).containsExactly(trial, trips.currentSnapshot().snapshotId());
    }

    @Test
    void retainLastAppliesToABranchWithItsOwnAge() throws Exception {
        for (int i = 0; i < 4; i++) {
            append(trips, JAN_5, trip(i, JAN_5, 1, "a"));
        }
        trips.manageSnapshots().setMaxSnapshotAgeMs("main", 1).commit();
        assertThat(expire(ALL + ", retain_last => 3")).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).hasSize(3);
    }

    @Test
    void oldSnapshotsOutsideAllBranchesAreExpired() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        long first = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        long unreferenced = trips.currentSnapshot().snapshotId();
        trips.manageSnapshots().rollbackTo(first).commit();
        assertThat(expire("older_than => TIMESTAMP '2000-01-01 00:00:00'"))
                .containsEntry("expired_snapshots_count", 0L);
        assertThat(snapshots()).contains(unreferenced);
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).containsExactly(first);
    }

    @Test
    void aReferencePastItsAgeIsRemovedAndNamed() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        long tagged = trips.currentSnapshot().snapshotId();
        trips.manageSnapshots().createTag("old", tagged).setMaxRefAgeMs("old", 1).commit();
        commit(trips, JOB_A, "op", 8, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        assertThat(protectedBy()).hasSize(2).doesNotContainKey(tagged);
        for (boolean dry : new boolean[] {true, false}) {
            Map<String, Object> done = expire(ALL + ", dry_run => " + dry);
            assertThat(done)
                    .containsEntry("expired_snapshots_count", 1L)
                    .containsEntry("expired_references", "tag old");
            assertThat(done.get("protected_by")).asString().doesNotContain("tag old");
        }
        trips.refresh();
        assertThat(trips.refs()).containsOnlyKeys("main");
        assertThat(expire(ALL)).containsEntry("expired_references", "");

        trips.manageSnapshots().createBranch("trial").setMaxRefAgeMs("trial", 1).commit();
        assertThat(expire(ALL))
                .containsEntry("expired_snapshots_count", 0L)
                .containsEntry("expired_references", "branch trial");
        trips.refresh();
        assertThat(trips.refs()).containsOnlyKeys("main");
    }

    @Test
    void statisticsAreDeletedOnlyWithTheirSnapshot() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        String old = statistics("old");
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        String current = statistics("current");
        assertThat(expire(ALL)).containsEntry("deleted_statistics_files_count", 1L);
        assertThat(Path.of(URI.create(old))).doesNotExist();
        assertThat(Path.of(URI.create(current))).exists();
    }

    private String statistics(String name) throws Exception {
        String path = trips.location() + "/metadata/" + name + ".stats";
        Files.writeString(Path.of(URI.create(path)), name);
        long snapshot = trips.currentSnapshot().snapshotId();
        trips.updateStatistics()
                .setStatistics(
                        new GenericStatisticsFile(snapshot, path, 3, 3, List.<BlobMetadata>of()))
                .commit();
        return path;
    }

    @Test
    void aReadersPositionAndItsUnreadFilesAreKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        JobClient job = read("reader", true);
        long position = trips.currentSnapshot().snapshotId();
        String state = awaitState("reader", position);
        job.cancel().get();
        jobs.clear();
        append(trips, JAN_5, trip(3, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(4, JAN_5, 1, "a"));
        Map<String, Object> done = expire(ALL);
        assertThat(done).containsEntry("expired_snapshots_count", 1L);
        assertThat(done.get("protected_by"))
                .asString()
                .contains("of job reader, as of " + "file:" + state)
                .contains(": its position");
        assertThat(snapshots()).hasSize(3).contains(position);

        trips.manageSnapshots().createTag("keep", trips.currentSnapshot().snapshotId()).commit();
        trips.expireSnapshots().expireSnapshotId(position).expireOlderThan(0).commit();
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining("is at snapshot " + position)
                .hasMessageContaining("no longer in the history of table silver.trips")
                .hasMessageContaining("ignore_unknown_positions => true");
        assertThat(snapshots()).hasSize(2);
        assertThat(expire(ALL + ", ignore_unknown_positions => true"))
                .containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void thePositionOfAReaderWithTheOldSourceIsKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        lake.sql().getConfig().set("table.exec.iceberg.use-flip27-source", "false");
        JobClient job = read("reader", true);
        long position = trips.currentSnapshot().snapshotId();
        awaitState("reader", position);
        job.cancel().get();
        jobs.clear();
        append(trips, JAN_5, trip(3, JAN_5, 1, "a"));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).hasSize(2).contains(position);
    }

    @Test
    void unreadFilesOfAReaderWithTheOldSourceAreUnknown() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        Path state = folder.resolve("state/checkpoints/reader/" + JOB_A + "/chk-9");
        States.write(state, States.tasks("Iceberg table (lake.silver.trips) reader", "splits", 1));
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining(
                        NamedOperator.HAS_NAME
                                ? "reader 'Iceberg table (lake.silver.trips) reader'"
                                : "a source of job reader")
                .hasMessageContaining("has state in an unknown format");
        States.write(state, States.tasks("Iceberg table (lake.silver.trips) reader", "splits", 0));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void aFileThatAReaderHasYetToReadIsKeptAfterARewriteReplacedIt() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        var known = append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        var splits = splits();
        long holder = trips.currentSnapshot().snapshotId();
        trips.newRewrite()
                .deleteFile(known)
                .addFile(Lakehouse.write(trips, JAN_5, trip(1, JAN_5, 1, "a")))
                .commit();
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        long position = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(3, JAN_5, 1, "a"));
        for (boolean assigned : new boolean[] {false, true}) {
            States.write(
                    folder.resolve("state/checkpoints/reader/" + JOB_A + "/chk-1"),
                    States.reader(
                            "Source: trips[1]",
                            position,
                            assigned ? List.of() : splits,
                            assigned ? splits : List.of()));
            assertThat(protectedBy()).hasSize(4);
            assertThat(protectedBy().get(holder))
                    .asString()
                    .contains("contains files that it has yet to read");
        }
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(Path.of(known.location().replaceFirst("^file:/*", "/"))).exists();
    }

    private List<IcebergSourceSplit> splits() throws Exception {
        try (var tasks = trips.newScan().planFiles()) {
            List<IcebergSourceSplit> splits = new ArrayList<>();
            tasks.forEach(
                    task ->
                            splits.add(
                                    IcebergSourceSplit.fromCombinedScanTask(
                                            new BaseCombinedScanTask(task))));
            return splits;
        }
    }

    @Test
    void aReaderThatHasReadNothingKeepsEverySnapshot() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Path state = folder.resolve("state/savepoints/reader/savepoint-aaaaaa-123456");
        States.write(
                state,
                States.reader(
                        "Source: IcebergSource-lake.silver.trips", null, List.of(), List.of()));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 0L);
        assumeTrue(NamedOperator.HAS_NAME, "it could be a reader of any table");
        States.write(
                state,
                States.reader(
                        "Source: IcebergSource-lake.bronze.trips", null, List.of(), List.of()));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void aNamedSnapshotIsExpiredAtAnyAge() throws Exception {
        for (int i = 0; i < 4; i++) {
            append(trips, JAN_5, trip(i, JAN_5, 1, "a"));
        }
        List<Long> all = snapshots();
        trips.manageSnapshots().createTag("kept", all.get(2)).commit();
        assertThat(expire("snapshot_ids => '" + all.get(0) + ", " + all.get(1) + "'"))
                .containsEntry("expired_snapshots_count", 2L);
        assertThat(snapshots()).containsExactly(all.get(2), all.get(3));
        for (Map.Entry<Long, String> needed :
                Map.of(all.get(2), "tag kept", all.get(3), "branch main").entrySet()) {
            assertThatThrownBy(() -> expire("snapshot_ids => '" + needed.getKey() + "'"))
                    .hasMessageContaining("Snapshot " + needed.getKey())
                    .hasMessageContaining("needed by")
                    .hasMessageContaining(needed.getValue());
        }
        assertThatThrownBy(() -> expire("snapshot_ids => '7'"))
                .hasMessageContaining("has no snapshot 7");
        assertThatThrownBy(() -> expire("snapshot_ids => 'x'"))
                .hasMessageContaining("snapshot_ids => 'x' is not an integer");
        assertThat(snapshots()).hasSize(2);
    }

    @Test
    void unusedSchemasAreRemovedOnRequest() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        trips.updateSchema().addColumn("a", Types.StringType.get()).commit();
        trips.updateSchema().addColumn("b", Types.StringType.get()).commit();
        trips.newFastAppend().commit();
        assertThat(trips.schemas()).hasSize(3);
        expire(ALL);
        trips.refresh();
        assertThat(trips.schemas()).hasSize(3);
        trips.newFastAppend().commit();
        expire(ALL + ", clean_expired_metadata => true");
        trips.refresh();
        assertThat(trips.schemas()).hasSize(1);
    }

    @Test
    void onlyTheNewestStateOfAJobCounts() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        long older = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        long newer = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        Path run = folder.resolve("state/checkpoints/reader/" + JOB_A);
        States.write(
                run.resolve("chk-9"),
                States.reader("Source: trips[1]", older, List.of(), List.of()));
        States.write(
                run.resolve("chk-10"),
                States.reader("Source: trips[1]", newer, List.of(), List.of()));
        Files.createDirectories(run.resolve("chk-11")); // begun, and not complete
        for (String name : List.of("chk-9", "chk-10")) {
            Files.setLastModifiedTime(
                    run.resolve(name + "/_metadata"), FileTime.fromMillis(1_000_000));
        }
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
        assertThat(snapshots()).hasSize(2).contains(newer);
    }

    @Test
    void aStateInFlinksDefaultFolderIsFound() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        long position = trips.currentSnapshot().snapshotId();
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        for (String place :
                List.of(
                        "checkpoints/" + JOB_A + "/chk-7",
                        "savepoints/savepoint-aaaaaa-0123456789ab",
                        "tm_127.0.0.1:28008-fd9b43/" + JOB_A + "/chk-7",
                        JOB_A + "/chk-7",
                        "checkpoints/team/reader/" + JOB_A + "/chk-7")) {
            Path state = folder.resolve("state").resolve(place);
            States.write(state, States.reader("Source: trips[1]", position, List.of(), List.of()));
            assertThat(protectedBy()).as(place).hasSize(2);
            assertThat(protectedBy().get(position)).asString().contains(place + ": its position");
            Files.delete(state.resolve("_metadata"));
        }
        assertThat(protectedBy()).hasSize(1);
    }

    @Test
    void aStateInAnUnknownPlaceIsUnknown() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Path state = folder.resolve("state/copies/of reader");
        States.write(state);
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining("the state file:" + state)
                .hasMessageContaining("chk-<n>");
        assertThat(snapshots()).hasSize(2);
        assertThat(expire(ALL + ", ignore_unknown_positions => true"))
                .containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void theStateOfAnotherKindOfSourceIsNotAPosition() throws Exception {
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        byte[] kafka = {
            0, 0, 0, 3, 0, 5, 't', 'r', 'i', 'p', 's', 0, 0, 0, 1, 127, 127, 127, 127, 1
        };
        Path state = folder.resolve("state/checkpoints/writer/" + JOB_A + "/chk-9");
        States.write(
                state,
                States.other(
                        "Source: trips[1]",
                        new byte[] {1, 127, 127, 127, 127, 127, 127, 127, 127}));
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining("has state in an unknown format");
        assumeTrue(NamedOperator.HAS_NAME, "Flink 1 does not save operator names");
        States.write(state, States.other("Source: trip_events[1]", kafka));
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void aPositionBelongsToTheTableThatHasItsSnapshot() throws Exception {
        // The same name in another database: with Flink SQL, operator names contain only the
        // table's name.
        ((SupportsNamespaces) lake.catalog).createNamespace(Namespace.of("bronze"));
        Table other = lake.table("bronze.trips", Lakehouse.BY_DAY, Map.of());
        append(other, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        JobClient job = read("reader", true);
        awaitState("reader", trips.currentSnapshot().snapshotId());
        job.cancel().get();
        jobs.clear();
        append(other, JAN_5, trip(2, JAN_5, 1, "a"));
        assertThat(lake.call("expire_snapshots(`table` => 'bronze.trips', " + ALL + ")"))
                .containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void aRunningReaderWithoutAStateIsUnknown() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        JobClient job = read("reader", false);
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining(job.getJobID().toString())
                .hasMessageContaining("no completed checkpoint yet");
        assertThat(snapshots()).hasSize(2);
    }

    private void assertKeptBy(String name) throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        JobClient job = read(name, false);
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining(
                        "Flink job " + job.getJobID() + " rewrites table silver.trips");
        assertThat(snapshots()).hasSize(2);
    }

    @Test
    void aRewriteKeepsTheSnapshotThatItStartedFrom() throws Exception {
        assertKeptBy("rewrite_data_files silver.trips");
    }

    @Test
    void aRewriteOfDeletesKeepsTheSnapshotThatItStartedFrom() throws Exception {
        assertKeptBy("rewrite_position_delete_files silver.trips");
    }

    @Test
    void noFileIsDeletedIfTheOutcomeOfTheCommitIsUnknown() throws Exception {
        lake.options.put("catalog-impl", FaultyCatalog.class.getName());
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        List<Path> disk = onDisk(trips.location());
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    throw new CommitStateUnknownException(new RuntimeException("timeout"));
                });
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining("is unknown")
                .hasMessageContaining("No file was deleted");
        assertThat(onDisk(trips.location())).isEqualTo(disk);
        assertThat(expire(ALL)).containsEntry("expired_snapshots_count", 1L);
    }

    @Test
    void deleteFilesAreDeletedLikeDataFiles() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        DeleteFile deletes = Lakehouse.deletesOf(trips, JAN_5, 1);
        trips.newRowDelta().addDeletes(deletes).commit();
        trips.newDelete().deleteFromRowFilter(Expressions.alwaysTrue()).commit();
        append(trips, JAN_5, trip(3, JAN_5, 1, "a"));
        Map<String, Object> planned = expire(ALL + ", dry_run => true");
        Map<String, Object> done = expire(ALL);
        assertThat(done)
                .containsEntry("deleted_data_files_count", planned.get("deleted_data_files_count"));
        assertThat(rows(trips)).hasSize(1);
    }

    @Test
    void filesThatCannotBeDeletedAreCountedSeparately() throws Exception {
        lake.options.put("io-impl", LockedFileIO.class.getName());
        for (int i = 0; i < 3; i++) {
            trips.newDelete().deleteFromRowFilter(Expressions.alwaysTrue()).commit();
            append(trips, JAN_5, trip(i, JAN_5, 1, "a"));
        }
        List<Path> disk = onDisk(trips.location());
        LockedFileIO.locked = path -> path.endsWith(".parquet");
        Map<String, Object> done = expire(ALL);
        assertThat(done)
                .containsEntry("deleted_data_files_count", 0L)
                .containsEntry("failed_deletes_count", 2L);
        List<Path> left = onDisk(trips.location());
        assertThat(left.stream().filter(path -> path.toString().endsWith(".parquet"))).hasSize(3);
        assertThat((long) done.get("deleted_manifest_files_count"))
                .isEqualTo(
                        disk.size()
                                + 1
                                - left.size()
                                - (long) done.get("deleted_manifest_lists_count"));
        assertThat((long) done.get("deleted_bytes_count")).isPositive();
    }

    @Test
    void anExpiryThatCanDeleteNothingFails() throws Exception {
        lake.options.put("io-impl", LockedFileIO.class.getName());
        append(trips, JAN_5, trip(0, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        LockedFileIO.locked = path -> true;
        assertThatThrownBy(() -> expire(ALL))
                .hasMessageContaining("None of the 1 files")
                .hasMessageContaining("silver.trips")
                .hasMessageContaining("remove_orphan_files");
    }

    @Test
    void anUnreadableNewestStateIsUnknown() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        Path state =
                Files.createDirectories(
                        folder.resolve("state/checkpoints/reader/" + JOB_A + "/chk-4"));
        Files.writeString(state.resolve("_metadata"), "broken");
        assertThatThrownBy(() -> expire(ALL)).hasMessageContaining("chk-4, cannot be read");
        assertThat(snapshots()).hasSize(2);
    }

    @Test
    void positionsAreUnknownWithoutAStateFolder() throws Exception {
        lake.options.remove("maintenance.state-dir");
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        assertThatThrownBy(() -> expire(ALL)).hasMessageContaining("maintenance.state-dir");
        assertThat(expire(ALL + ", ignore_unknown_positions => true"))
                .containsEntry("expired_snapshots_count", 1L);
    }

    /** A streaming job that uses the table, submitted as by the SQL Gateway. */
    private JobClient read(String name, boolean checkpoints) throws Exception {
        var sql = lake.sql();
        sql.executeSql(
                "CREATE TEMPORARY TABLE nowhere (id BIGINT) WITH ('connector' = 'blackhole')");
        sql.getConfig().set("pipeline.name", name);
        if (checkpoints) {
            sql.getConfig().set("execution.checkpointing.interval", "300 ms");
            sql.getConfig().set("execution.checkpointing.storage", "filesystem");
            sql.getConfig()
                    .set(
                            "execution.checkpointing.dir",
                            "file://" + folder.resolve("state/checkpoints/" + name));
            sql.getConfig()
                    .set(
                            "execution.checkpointing.externalized-checkpoint-retention",
                            "RETAIN_ON_CANCELLATION");
        }
        JobClient job =
                sql.executeSql(
                                "INSERT INTO nowhere SELECT id FROM lake.silver.trips /*+"
                                        + " OPTIONS('streaming' = 'true', 'monitor-interval' = '200"
                                        + " ms') */")
                        .getJobClient()
                        .orElseThrow();
        jobs.add(job);
        return job;
    }

    /** Waits for a checkpoint with this position; returns the path of the state. */
    private String awaitState(String job, long snapshot) throws Exception {
        for (int i = 0; i < 150; i++) {
            Thread.sleep(200);
            try {
                Object by = protectedBy().get(snapshot);
                if (by != null && by.toString().contains(": its position")) {
                    return by.toString()
                            .replaceFirst("(?s).*as of file:(\\S+): its position.*", "$1")
                            .replaceFirst("chk-.*", "");
                }
            } catch (RuntimeException notYet) {
                continue;
            }
        }
        throw new AssertionError("no state of " + job + " stands at " + snapshot);
    }
}
