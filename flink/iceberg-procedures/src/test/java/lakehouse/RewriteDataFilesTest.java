package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.JAN_6;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.files;
import static lakehouse.Lakehouse.onDisk;
import static lakehouse.Lakehouse.rows;
import static lakehouse.Lakehouse.trip;
import static lakehouse.Lakehouse.twoFilesADay;
import static lakehouse.Lakehouse.write;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.deletes.PositionDelete;
import org.apache.iceberg.exceptions.CommitStateUnknownException;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RewriteDataFilesTest {
    @TempDir Path folder;
    private Lakehouse lake;
    private Table trips;

    @BeforeEach
    void open() throws Exception {
        FaultyCatalog.NEXT.set(null);
        FaultyCatalog.BLIND.set(0);
        SwappingFileIO.other = null;
        SwappingFileIO.dies = false;
        lake = new Lakehouse(folder, FaultyCatalog.class.getName());
        lake.options.put("io-impl", SwappingFileIO.class.getName());
        trips = lake.trips();
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    private Map<String, Object> rewrite(String arguments) {
        return lake.call("rewrite_data_files(`table` => 'silver.trips'" + arguments + ")");
    }

    /** Adds six files with one row each to both of two partitions. */
    private List<String> twelveFiles() throws Exception {
        List<DataFile> files = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            files.add(write(trips, JAN_5, trip(i, JAN_5, i, "a")));
            files.add(write(trips, JAN_6, trip(100 + i, JAN_6, i, null)));
        }
        append(trips, files);
        return rows(trips);
    }

    private static void assertAllExist(Table table, List<DataFile> live) throws Exception {
        List<String> names =
                live.stream()
                        .map(file -> file.location().replaceFirst("^file:/*", "/"))
                        .sorted()
                        .toList();
        assertThat(names)
                .isSubsetOf(
                        onDisk(table.location() + "/data").stream().map(Path::toString).toList());
    }

    @Test
    void manySmallFilesBecomeOnePerPartition() throws Exception {
        List<String> before = twelveFiles();
        assertThat(rewrite(""))
                .containsEntry("rewritten_data_files_count", 12L)
                .containsEntry("added_data_files_count", 2L)
                .containsEntry("rewritten_rows", 12L)
                .containsEntry("groups", 2)
                .containsEntry("failed_groups", 0)
                .containsEntry("conflicts", 0)
                .containsEntry("dry_run", false)
                .containsEntry("reasons", null);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips)).hasSize(2);
        assertThat(trips.currentSnapshot().operation()).isEqualTo("replace");
        assertThat(rewrite("")).containsEntry("groups", 0);
    }

    @Test
    void argumentsMayBePositional() throws Exception {
        List<String> before = twelveFiles();
        assertThat(lake.query("CALL lake.sys.rewrite_data_files('lake.silver.trips', 'binpack')"))
                .hasSize(1);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips)).hasSize(2);
    }

    @Test
    void severalGroupsAreRewrittenConcurrently() throws Exception {
        lake.session.set(CoreOptions.DEFAULT_PARALLELISM, 2);
        List<String> before = twelveFiles();
        assertThat(rewrite("")).containsEntry("groups", 2);
        assertThat(rows(trips)).isEqualTo(before);
    }

    @Test
    void aDryRunChangesNothing() throws Exception {
        twelveFiles();
        List<Path> disk = onDisk(trips.location());
        assertThat(rewrite(", dry_run => true"))
                .containsEntry("rewritten_data_files_count", 12L)
                .containsEntry("added_data_files_count", 2L)
                .containsEntry("groups", 2)
                .containsEntry("dry_run", true);
        assertThat(onDisk(trips.location())).isEqualTo(disk);
    }

    @Test
    void onlyTheRequestedFilesAreRewritten() throws Exception {
        twelveFiles();
        assertThat(
                        rewrite(
                                ", `where` => '`day` = DATE ''2024-01-06'' AND `hour` > 3',"
                                        + " min_input_files => 2"))
                .containsEntry("rewritten_data_files_count", 2L);
        assertThat(
                        rewrite(
                                ", `where` => '`day` IN (DATE ''2024-01-05'', DATE"
                                        + " ''2023-01-01'')', min_input_files => 7"))
                .containsEntry("rewritten_data_files_count", 0L);
        assertThat(
                        rewrite(
                                ", `where` => 'zone IS NULL OR `at` > TIMESTAMP ''2030-01-01"
                                        + " 00:00:00''', dry_run => true"))
                .containsEntry("rewritten_data_files_count", 5L);
        long size = files(trips).get(0).fileSizeInBytes();
        assertThat(rewrite(", max_rewrite_bytes => " + 4 * size + ", min_input_files => 2"))
                .hasEntrySatisfying(
                        "rewritten_bytes_count",
                        bytes -> assertThat((Long) bytes).isBetween(1L, 4 * size));
        assertThat(rewrite(", rewrite_all => true"))
                .hasEntrySatisfying("groups", n -> assertThat((Integer) n).isEqualTo(2));
    }

    @Test
    void errorsNameTheValueAndTheChoices() throws Exception {
        twelveFiles();
        assertThatThrownBy(() -> rewrite(", strategy => 'zorder'"))
                .hasMessageContaining("'zorder'")
                .hasMessageContaining("[binpack, sort]");
        assertThatThrownBy(() -> rewrite(", strategy => 'sort'"))
                .hasMessageContaining("sort_order => 'column, ...'");
        assertThatThrownBy(() -> rewrite(", sort_order => 'hour'"))
                .hasMessageContaining("strategy => 'sort'");
        assertThatThrownBy(() -> rewrite(", strategy => 'sort', sort_order => 'minute'"))
                .hasMessageContaining("no column minute")
                .hasMessageContaining("[id, day, hour, zone, fare, at]");
        assertThatThrownBy(() -> rewrite(", strategy => 'sort', sort_order => 'hour UPWARD'"))
                .hasMessageContaining("'hour UPWARD'");
        assertThatThrownBy(() -> rewrite(", `where` => 'minute = 3'"))
                .hasMessageContaining("'minute = 3'")
                .hasMessageContaining("minute");
        assertThatThrownBy(() -> rewrite(", `where` => '`hour` + 1 = 3'"))
                .hasMessageContaining("files cannot be selected by");
        assertThatThrownBy(() -> rewrite(", `where` => '`hour` = 1 AND MOD(id, 2) = 0'"))
                .hasMessageContaining("files cannot be selected by");
        assertThatThrownBy(() -> rewrite(", target_file_size_bytes => -1"))
                .hasMessageContaining("-1 is not greater than 0");
        assertThatThrownBy(() -> rewrite(", min_input_files => 'many'"))
                .hasStackTraceContaining("min_input_files");
        assertThat(files(trips)).hasSize(12);
    }

    @Test
    void aConcurrentAppendIsKept() throws Exception {
        List<String> before = new ArrayList<>(twelveFiles());
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    append(lake.load("silver.trips"), JAN_5, trip(77, JAN_5, 1, "late"));
                    table.commit(base, metadata);
                });
        assertThat(rewrite("")).containsEntry("groups", 2).containsEntry("conflicts", 0);
        assertThat(files(trips)).hasSize(3);
        assertThat(rows(trips)).hasSize(13).containsAll(before);
    }

    /** Has the file deleted just before the next commit. */
    private void deleteBeforeNextCommit(DataFile file) {
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    lake.load("silver.trips").newDelete().deleteFile(file).commit();
                    table.commit(base, metadata);
                });
    }

    @Test
    void aConcurrentDeleteOnlyFailsItsGroup() throws Exception {
        List<String> before = twelveFiles();
        DataFile victim =
                files(trips).stream()
                        .filter(
                                file ->
                                        file.partition().get(0, Integer.class)
                                                == JAN_5.toEpochDay())
                        .findFirst()
                        .orElseThrow();
        deleteBeforeNextCommit(victim);
        assertThat(rewrite(""))
                .containsEntry("groups", 1)
                .containsEntry("failed_groups", 1)
                .containsEntry("conflicts", 1)
                .hasEntrySatisfying(
                        "reasons",
                        reasons ->
                                assertThat((String) reasons)
                                        .contains("Missing required files to delete"));
        assertThat(rows(trips)).hasSize(11).isSubsetOf(before);
        assertThat(files(trips)).hasSize(6);
        assertThat(onDisk(trips.location() + "/data"))
                .as("12 written, 1 new, none left over")
                .hasSize(13);
        assertThat(rewrite("")).containsEntry("failed_groups", 0);
        assertThat(rows(trips)).hasSize(11);
    }

    /** Adds two files with one row each to every one of 21 partitions. */
    private List<String> manyPartitions() throws Exception {
        twoFilesADay(trips, 21);
        return rows(trips);
    }

    private long replaces() {
        trips.refresh();
        long found = 0;
        for (Snapshot snapshot : trips.snapshots()) {
            found += snapshot.operation().equals("replace") ? 1 : 0;
        }
        return found;
    }

    @Test
    void manyGroupsAreCommittedInFewCommits() throws Exception {
        List<String> before = manyPartitions();
        assertThat(rewrite(", min_input_files => 2"))
                .containsEntry("groups", 21)
                .containsEntry("rewritten_data_files_count", 42L)
                .containsEntry("failed_groups", 0);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips)).hasSize(21);
        assertThat(replaces()).as("three groups in each").isEqualTo(7);
    }

    @Test
    void aConflictOnlyFailsItsGroupAndNotTheOthersOfItsCommit() throws Exception {
        List<String> before = manyPartitions();
        DataFile victim = files(trips).get(0);
        deleteBeforeNextCommit(victim);
        assertThat(rewrite(", min_input_files => 2"))
                .containsEntry("groups", 20)
                .containsEntry("failed_groups", 1)
                .containsEntry("conflicts", 1);
        assertThat(rows(trips)).hasSize(41).isSubsetOf(before);
        assertThat(files(trips)).hasSize(21);
        assertThat(onDisk(trips.location() + "/data"))
                .as("42 written, 20 new, none left over")
                .hasSize(62);
    }

    @Test
    void aCommitOfUnknownOutcomeThatSucceededCounts() throws Exception {
        List<String> before = twelveFiles();
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    table.commit(base, metadata);
                    throw new CommitStateUnknownException(new RuntimeException("timeout"));
                });
        assertThat(rewrite("")).containsEntry("groups", 2).containsEntry("failed_groups", 0);
        assertThat(rows(trips)).isEqualTo(before);
        assertAllExist(trips, files(trips));
    }

    @Test
    void aCommitOfUnknownOutcomeThatFailedLeavesItsFiles() throws Exception {
        List<String> before = twelveFiles();
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    throw new CommitStateUnknownException(new RuntimeException("timeout"));
                });
        assertThat(rewrite(""))
                .containsEntry("groups", 1)
                .containsEntry("failed_groups", 1)
                .containsEntry("conflicts", 0)
                .hasEntrySatisfying(
                        "reasons",
                        reasons ->
                                assertThat((String) reasons)
                                        .contains("outcome of a commit is unknown"));
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(onDisk(trips.location() + "/data"))
                .as("12 old, 2 new, of which the table holds one")
                .hasSize(14);
    }

    /** The commit succeeded, but the connection breaks and the table cannot be loaded at first. */
    @Test
    void aCommitOfUnknownOutcomeThatCannotBeCheckedLeavesItsFiles() throws Exception {
        List<String> before = twelveFiles();
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    table.commit(base, metadata);
                    FaultyCatalog.BLIND.set(1);
                    throw new CommitStateUnknownException(new RuntimeException("timeout"));
                });
        assertThat(rewrite("")).containsEntry("failed_groups", 1).containsEntry("conflicts", 0);
        assertThat(rows(trips)).isEqualTo(before);
        assertAllExist(trips, files(trips));
    }

    /** A task that dies does not report its files. */
    @Test
    void aFailedJobLeavesNoFiles() throws Exception {
        List<String> before = twelveFiles();
        SwappingFileIO.dies = true;
        assertThatThrownBy(() -> rewrite("")).hasMessageContaining("could be rewritten");
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(onDisk(trips.location() + "/data")).hasSize(12);
        SwappingFileIO.dies = false;
        assertThat(rewrite("")).containsEntry("groups", 2);
    }

    @Test
    void anUnreadableGroupOnlyFailsItself() throws Exception {
        twelveFiles();
        DataFile victim =
                files(trips).stream()
                        .filter(
                                file ->
                                        file.partition().get(0, Integer.class)
                                                == JAN_5.toEpochDay())
                        .findFirst()
                        .orElseThrow();
        Path path = Path.of(victim.location().replaceFirst("^file:/*", "/"));
        Files.delete(path);
        assertThat(rewrite(""))
                .containsEntry("groups", 1)
                .containsEntry("failed_groups", 1)
                .hasEntrySatisfying(
                        "reasons",
                        reasons ->
                                assertThat((String) reasons)
                                        .contains(path.getFileName().toString()));
        assertThat(files(trips)).hasSize(7);
        assertThat(onDisk(trips.location() + "/data")).as("11 old and 1 new").hasSize(12);
        assertThatThrownBy(() -> rewrite(""))
                .hasMessageContaining("could be rewritten")
                .hasMessageContaining(path.getFileName().toString());
    }

    @Test
    void rowsThatChangeDuringTheRewriteAreNotCommitted() throws Exception {
        List<String> before = twelveFiles();
        SwappingFileIO.other = files(trips).get(0).location();
        long snapshot = trips.currentSnapshot().snapshotId();
        assertThatThrownBy(() -> rewrite(""))
                .hasMessageContaining("changed during the rewrite")
                .hasMessageContaining("Nothing of this group was committed");
        SwappingFileIO.other = null;
        trips.refresh();
        assertThat(trips.currentSnapshot().snapshotId()).isEqualTo(snapshot);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(onDisk(trips.location() + "/data")).hasSize(12);
    }

    @Test
    void verificationIsOptional() throws Exception {
        twelveFiles();
        SwappingFileIO.other = files(trips).get(0).location();
        assertThat(rewrite(", verify => false")).containsEntry("groups", 2);
    }

    @Test
    void deletesAreApplied() throws Exception {
        List<DataFile> written = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            written.add(
                    append(
                            trips,
                            JAN_5,
                            trip(2 * i, JAN_5, i, "a"),
                            trip(2 * i + 1, JAN_5, i, "b")));
        }
        var positions =
                Lakehouse.writers(trips)
                        .newPositionDeleteWriter(
                                Lakehouse.newFile(trips, JAN_5),
                                trips.spec(),
                                Lakehouse.partition(trips, JAN_5));
        try (positions) {
            positions.write(
                    PositionDelete.<RowData>create().set(written.get(0).location(), 1, null));
        }
        DeleteFile equals = Lakehouse.deletesOf(trips, JAN_5, 4);
        trips.newRowDelta().addDeletes(positions.toDeleteFile()).addDeletes(equals).commit();
        List<String> before = rows(trips);
        assertThat(before).hasSize(10);
        assertThat(rewrite("")).containsEntry("rewritten_rows", 10L);
        assertThat(rows(trips)).isEqualTo(before);
        // A delete committed after the rewrite started still applies to the rewritten rows.
        append(trips, JAN_5, trip(4, JAN_5, 1, "again"));
        assertThat(rows(trips)).hasSize(11);
    }

    @Test
    void aConcurrentEqualityDeleteAppliesToTheNewFiles() throws Exception {
        twelveFiles();
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    Table other = lake.load("silver.trips");
                    DeleteFile equals = Lakehouse.deletesOf(other, JAN_5, 3);
                    other.newRowDelta().addDeletes(equals).commit();
                    table.commit(base, metadata);
                });
        assertThat(rewrite("")).containsEntry("groups", 2);
        assertThat(rows(trips)).hasSize(11).noneMatch(row -> row.startsWith("(3,"));
    }

    @Test
    void aGroupWithOnlyDeletedRowsIsReplacedByNothing() throws Exception {
        for (int i = 0; i < 6; i++) {
            append(trips, JAN_5, trip(i, JAN_5, i, "a"));
        }
        DeleteFile equals = Lakehouse.deletesOf(trips, JAN_5, 0, 1, 2, 3, 4, 5);
        trips.newRowDelta().addDeletes(equals).commit();
        assertThat(rewrite(""))
                .containsEntry("rewritten_data_files_count", 6L)
                .containsEntry("added_data_files_count", 0L);
        assertThat(files(trips)).isEmpty();
    }

    @Test
    void theSchemaMayHaveChangedSinceTheFilesWereWritten() throws Exception {
        twelveFiles();
        trips.updateSchema()
                .addColumn("tip", Types.DoubleType.get())
                .renameColumn("zone", "area")
                .deleteColumn("fare")
                .commit();
        append(
                trips,
                JAN_5,
                GenericRowData.of(
                        9L, (int) JAN_5.toEpochDay(), 1, StringData.fromString("n"), null, 2.5));
        List<String> before = rows(trips);
        assertThat(rewrite("")).containsEntry("rewritten_data_files_count", 13L);
        assertThat(rows(trips)).isEqualTo(before);
    }

    @Test
    void filesOfAnEarlierSpecAreRewrittenToTheCurrentOne() throws Exception {
        Table flat = lake.table("silver.flat", PartitionSpec.unpartitioned(), Map.of());
        for (int i = 0; i < 6; i++) {
            append(flat, null, trip(i, JAN_5, i, "a"), trip(10 + i, JAN_6, i, "b"));
        }
        flat.updateSpec().addField("day").commit();
        List<String> before = rows(flat);
        assertThat(lake.call("rewrite_data_files('silver.flat')"))
                .containsEntry("added_data_files_count", 2L);
        assertThat(rows(flat)).isEqualTo(before);
        assertThat(files(flat)).hasSize(2).allMatch(file -> file.specId() == flat.spec().specId());
    }

    private void assertOneFileAtATime(String arguments) throws Exception {
        lake.options.put("io-impl", CountingFileIO.class.getName());
        Table flat = lake.table("silver.flat", PartitionSpec.unpartitioned(), Map.of());
        int days = 40;
        List<RowData> all = new ArrayList<>();
        for (int i = 0; i < 5 * days; i++) {
            all.add(trip(86_400L * (i % days) + i, JAN_5, i % 7, "z" + i));
        }
        Collections.shuffle(all, new Random(5));
        append(flat, null, all.subList(0, days).toArray(RowData[]::new));
        append(flat, null, all.subList(days, 5 * days).toArray(RowData[]::new));
        flat.updateSpec().addField(Expressions.day("at")).commit();
        List<String> before = rows(flat);
        CountingFileIO.MOST.set(0);
        assertThat(
                        lake.call(
                                "rewrite_data_files(`table` => 'silver.flat', rewrite_all => true"
                                        + arguments
                                        + ")"))
                .containsEntry("added_data_files_count", (long) days);
        assertThat(CountingFileIO.MOST).hasValue(1);
        assertThat(rows(flat)).isEqualTo(before);
        assertThat(files(flat)).allMatch(file -> file.recordCount() == 5);
    }

    @Test
    void oneFileIsWrittenAtATimeForAnyNumberOfPartitions() throws Exception {
        assertOneFileAtATime("");
    }

    @Test
    void oneFileIsWrittenAtATimeForAnyNumberOfSortedPartitions() throws Exception {
        assertOneFileAtATime(", strategy => 'sort', sort_order => '`hour` DESC, zone'");
        Table flat = lake.load("silver.flat");
        for (DataFile file : files(flat)) {
            assertThat(
                            keys(
                                    IcebergGenerics.read(flat)
                                            .where(
                                                    Expressions.equal(
                                                            Expressions.day("at"),
                                                            file.partition()
                                                                    .get(0, Integer.class))),
                                    "hour",
                                    "zone"))
                    .hasSize(5)
                    .isSortedAccordingTo((a, b) -> compareOne(a.get(0), b.get(0), true, false));
        }
    }

    @Test
    void theCallingProcessRunsNoJob() throws Exception {
        twelveFiles();
        lake.sql().getConfig().set(DeploymentOptions.TARGET, "local");
        assertThatThrownBy(() -> rewrite(""))
                .hasMessageContaining("execution.target is 'local'")
                .hasMessageContaining("Next: SET 'execution.target' = 'remote'");
        assertThat(files(trips)).hasSize(12);
    }

    @Test
    void jobsRunOnTheSessionsTarget() throws Exception {
        twelveFiles();
        lake.session.set(DeploymentOptions.TARGET, "yarn-session");
        assertThatThrownBy(() -> rewrite("")).hasMessageContaining("No ExecutorFactory found");
        assertThat(files(trips)).hasSize(12);
        lake.sql().getConfig().set(DeploymentOptions.TARGET, "remote");
        assertThat(rewrite("")).containsEntry("groups", 2);
    }

    @Test
    void anEmptyTableIsAccepted() {
        assertThat(rewrite("")).containsEntry("groups", 0);
    }

    @Test
    void sortedFilesRecordTheirSortOrder() throws Exception {
        trips.replaceSortOrder().asc("hour").asc("id").commit();
        List<Long> ids = new ArrayList<>(IntStream.range(0, 60).mapToObj(i -> (long) i).toList());
        Collections.shuffle(ids, new Random(1));
        for (int i = 0; i < 6; i++) {
            append(
                    trips,
                    JAN_5,
                    ids.subList(i * 10, i * 10 + 10).stream()
                            .map(id -> trip(id, JAN_5, (int) (id % 7), "z" + id))
                            .toArray(RowData[]::new));
        }
        List<String> before = rows(trips);
        assertThat(rewrite(", strategy => 'sort'")).containsEntry("rewritten_rows", 60L);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips))
                .singleElement()
                .satisfies(
                        file ->
                                assertThat(file.sortOrderId())
                                        .isEqualTo(trips.sortOrder().orderId()));
        List<List<Object>> keys = keys(trips, "hour", "id");
        assertThat(keys).isSortedAccordingTo((a, b) -> compare(a, b));
    }

    @Test
    void rowsAreSortedByAnyRequestedOrder() throws Exception {
        Random random = new Random(2);
        String prefix = "a beginning that is longer than the key ";
        List<String> zones =
                Arrays.asList(null, "", "a", "ab", "b", prefix, prefix + "1", prefix + "2");
        for (int i = 0; i < 6; i++) {
            RowData[] rows = new RowData[20];
            for (int j = 0; j < rows.length; j++) {
                String zone = zones.get(random.nextInt(zones.size()));
                rows[j] =
                        trip(
                                i * 20L + j,
                                JAN_5,
                                random.nextInt(9) == 0 ? null : random.nextInt(4) - 2,
                                zone);
            }
            append(trips, JAN_5, rows);
        }
        List<String> before = rows(trips);
        assertThat(
                        rewrite(
                                ", strategy => 'sort', sort_order => 'zone DESC NULLS LAST, hour,"
                                        + " fare desc'"))
                .containsEntry("rewritten_rows", 120L);
        assertThat(rows(trips)).isEqualTo(before);
        List<List<Object>> keys = keys(trips, "zone", "hour", "fare");
        assertThat(keys)
                .isSortedAccordingTo(
                        (a, b) -> {
                            int zone = compareOne(a.get(0), b.get(0), true, false);
                            int hour = compareOne(a.get(1), b.get(1), false, true);
                            return zone != 0
                                    ? zone
                                    : hour != 0
                                            ? hour
                                            : compareOne(a.get(2), b.get(2), true, false);
                        });
        assertThat(files(trips).get(0).sortOrderId()).isIn(0, (Integer) null);
    }

    @Test
    void sortColumnsMayHaveAnyName() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 3, "b"), trip(2, JAN_5, 1, "c"));
        append(trips, JAN_5, trip(3, JAN_5, 2, "b"), trip(4, JAN_5, 4, null));
        trips.updateSchema()
                .renameColumn("hour", "größe")
                .renameColumn("zone", "a zone, or none")
                .commit();
        assertThat(
                        rewrite(
                                ", rewrite_all => true, strategy => 'sort', sort_order => '`a zone,"
                                        + " or none` DESC, größe'"))
                .containsEntry("rewritten_rows", 4L);
        assertThat(keys(lake.load("silver.trips"), "größe"))
                .containsExactly(List.of(1), List.of(2), List.of(3), List.of(4));
        assertThatThrownBy(() -> rewrite(", strategy => 'sort', sort_order => 'ZORDER(id, größe)'"))
                .hasMessageContaining("sort_order => 'ZORDER(id, größe)'")
                .hasMessageContaining("Next: name the columns");
    }

    /** More rows than fit into memory are sorted into files that do not overlap. */
    @Test
    void moreRowsThanFitIntoMemoryAreSorted() throws Exception {
        int count = 90_000;
        Table wide = lake.table("silver.wide", PartitionSpec.unpartitioned(), Map.of());
        for (int file = 0; file < 6; file++) {
            int part = file;
            append(
                    wide,
                    null,
                    IntStream.range(0, count / 6)
                            .mapToObj(
                                    i ->
                                            trip(
                                                    (i * 6L + part) * 7919 % count,
                                                    JAN_5,
                                                    i % 24,
                                                    "zone " + i + " of the city that never sleeps"))
                            .toArray(RowData[]::new));
        }
        assertThat(
                        lake.call(
                                "rewrite_data_files(`table` => 'silver.wide', strategy => 'sort',"
                                        + " sort_order => 'id', target_file_size_bytes => 300000)"))
                .containsEntry("rewritten_rows", (long) count);
        List<DataFile> files = files(wide);
        assertThat(files).hasSizeGreaterThan(2);
        List<long[]> ranges =
                files.stream()
                        .map(
                                file ->
                                        new long[] {
                                            bound(file.lowerBounds()), bound(file.upperBounds())
                                        })
                        .sorted((a, b) -> Long.compare(a[0], b[0]))
                        .toList();
        for (int i = 1; i < ranges.size(); i++) {
            assertThat(ranges.get(i)[0]).isGreaterThan(ranges.get(i - 1)[1]);
        }
        assertThat(files.stream().mapToLong(DataFile::recordCount).sum()).isEqualTo(count);
    }

    private static long bound(Map<Integer, ByteBuffer> bounds) {
        return Conversions.fromByteBuffer(Types.LongType.get(), bounds.get(1));
    }

    /** The values of columns, in the order of rows in the only file. */
    private static List<List<Object>> keys(Table table, String... columns) throws Exception {
        return keys(IcebergGenerics.read(table), columns);
    }

    private static List<List<Object>> keys(IcebergGenerics.ScanBuilder scan, String... columns)
            throws Exception {
        List<List<Object>> keys = new ArrayList<>();
        try (CloseableIterable<Record> records = scan.build()) {
            for (Record record : records) {
                List<Object> key = new ArrayList<>();
                for (String column : columns) {
                    key.add(record.getField(column));
                }
                keys.add(key);
            }
        }
        return keys;
    }

    private static int compare(List<Object> a, List<Object> b) {
        int first = compareOne(a.get(0), b.get(0), false, true);
        return first != 0 ? first : compareOne(a.get(1), b.get(1), false, true);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static int compareOne(Object a, Object b, boolean descending, boolean nullsFirst) {
        if (a == null || b == null) {
            int order = Boolean.compare(b == null, a == null);
            return nullsFirst ? order : -order;
        }
        return descending ? ((Comparable) b).compareTo(a) : ((Comparable) a).compareTo(b);
    }
}
