package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
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
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.runtime.client.JobStatusMessage;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.relocated.com.google.common.collect.Iterables;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rewrites on two TaskManagers with one slot each. */
class RewriteOnClusterTest {
    private static final int GROUPS = 21;
    private static final int GROUPS_PER_COMMIT = 3;
    private static final Duration LIMIT = Duration.ofSeconds(120);

    @TempDir Path folder;
    private Cluster cluster;
    private Lakehouse lake;
    private Table trips;

    @BeforeEach
    void open() throws Exception {
        cluster = new Cluster(2, 1);
        lake = new Lakehouse(folder);
        lake.options.put("io-impl", HoldingFileIO.class.getName());
        lake.session.set(RestOptions.ADDRESS, cluster.rest.getHost());
        lake.session.set(RestOptions.PORT, cluster.rest.getPort());
        lake.session.set(CoreOptions.DEFAULT_PARALLELISM, 2);
        trips = lake.trips();
        twoFilesADay(trips, GROUPS);
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
        cluster.close();
    }

    private Map<String, Object> rewrite() {
        return lake.call("rewrite_data_files(`table` => 'silver.trips', min_input_files => 2)");
    }

    private int commits() {
        trips.refresh();
        return Iterables.size(trips.snapshots());
    }

    private void awaitCommits(int count) throws Exception {
        Instant end = Instant.now().plus(LIMIT);
        while (commits() < count) {
            assertThat(Instant.now()).as("%s commits within %s", count, LIMIT).isBefore(end);
            Thread.sleep(50);
        }
    }

    /** The blocked group occupies its task, and the other task rewrites all other groups. */
    private CompletableFuture<Map<String, Object>> rewriteUntilOneIsLeft() throws Exception {
        CountDownLatch reached = HoldingFileIO.hold(1, files(trips).get(0).location()::equals);
        lake.sql();
        CompletableFuture<Map<String, Object>> done = CompletableFuture.supplyAsync(this::rewrite);
        assertThat(reached.await(LIMIT.toSeconds(), TimeUnit.SECONDS)).isTrue();
        awaitCommits(1 + (GROUPS - 1) / GROUPS_PER_COMMIT);
        return done;
    }

    @Test
    void aLostTaskManagerFailsNoGroup() throws Exception {
        List<String> before = rows(trips);
        Set<String> held = Set.of(files(trips).get(20).location(), files(trips).get(30).location());
        CountDownLatch reached = HoldingFileIO.hold(2, held::contains);
        lake.sql();
        CompletableFuture<Map<String, Object>> done = CompletableFuture.supplyAsync(this::rewrite);
        assertThat(reached.await(LIMIT.toSeconds(), TimeUnit.SECONDS))
                .as("both are at work")
                .isTrue();
        cluster.flink.terminateTaskManager(0).get();
        assertThat(done.get(LIMIT.toSeconds(), TimeUnit.SECONDS))
                .containsEntry("groups", GROUPS)
                .containsEntry("failed_groups", 0)
                .containsEntry("rewritten_rows", 2L * GROUPS);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips)).hasSize(GROUPS);
        assertThat(onDisk(trips.location() + "/data")).hasSize(3 * GROUPS);
        assertThat(cluster.jobs())
                .as("the lost one, one that gets no two slots, and one task")
                .isEqualTo(3);
    }

    @Test
    void aCancelledJobIsNotRunAgain() throws Exception {
        List<String> before = rows(trips);
        CompletableFuture<Map<String, Object>> done = rewriteUntilOneIsLeft();
        JobStatusMessage job = cluster.flink.listJobs().get().iterator().next();
        cluster.flink.cancelJob(job.getJobId()).get();
        assertThat(done.get(LIMIT.toSeconds(), TimeUnit.SECONDS))
                .hasEntrySatisfying(
                        "failed_groups", failed -> assertThat((int) failed).isBetween(1, 3));
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips)).hasSizeBetween(GROUPS + 1, GROUPS + 3);
        assertThat(onDisk(trips.location() + "/data"))
                .hasSizeBetween(3 * GROUPS - 3, 3 * GROUPS - 1);
        assertThat(cluster.jobs()).isEqualTo(1);
    }

    /** Adds files with unsorted rows of one day. */
    private List<String> oneLargeGroup() throws Exception {
        Random random = new Random(1);
        List<DataFile> files = new ArrayList<>();
        LocalDate day = JAN_5.minusDays(1);
        for (int i = 0; i < 8; i++) {
            files.add(
                    write(
                            trips,
                            day,
                            random.ints(500, 0, 3000)
                                    .mapToObj(
                                            id ->
                                                    trip(
                                                            id,
                                                            day,
                                                            id % 24,
                                                            id % 7 == 0 ? null : "z" + id))
                                    .toArray(RowData[]::new)));
        }
        append(trips, files);
        return rows(trips);
    }

    private Map<String, Object> sort(String order) {
        return lake.call(
                "rewrite_data_files(`table` => 'silver.trips', strategy => 'sort', sort_order => '"
                        + order
                        + "', `where` => '`day` = DATE ''2024-01-04''', rewrite_all => true,"
                        + " target_file_size_bytes => 20000)");
    }

    private List<DataFile> sorted() throws Exception {
        int day = (int) JAN_5.minusDays(1).toEpochDay();
        return files(trips).stream()
                .filter(file -> file.partition().get(0, Integer.class) == day)
                .sorted(Comparator.comparing(file -> bound(file.lowerBounds())))
                .toList();
    }

    private static long bound(Map<Integer, ByteBuffer> bounds) {
        return Conversions.fromByteBuffer(Types.LongType.get(), bounds.get(1));
    }

    @Test
    void aLargeGroupIsSortedByAllTasksIntoFilesThatDoNotOverlap() throws Exception {
        List<String> before = oneLargeGroup();
        assertThat(sort("id DESC"))
                .containsEntry("groups", 1)
                .containsEntry("rewritten_data_files_count", 8L)
                .containsEntry("rewritten_rows", 4000L);
        assertThat(rows(trips)).isEqualTo(before);
        List<DataFile> files = sorted();
        assertThat(files).hasSizeGreaterThanOrEqualTo(2);
        for (int i = 1; i < files.size(); i++) {
            assertThat(bound(files.get(i).lowerBounds()))
                    .isGreaterThanOrEqualTo(bound(files.get(i - 1).upperBounds()));
        }
        assertThat(files).allSatisfy(file -> assertThat(file.recordCount()).isLessThan(2500));
    }

    @Test
    void rowsWithTheSameKeyAreInOneRange() throws Exception {
        List<String> before = oneLargeGroup();
        assertThat(sort("day, `at`")).containsEntry("groups", 1);
        assertThat(rows(trips)).isEqualTo(before);
    }

    @Test
    void aTaskManagerLostWhileSortingARangeFailsNoGroup() throws Exception {
        List<String> before = oneLargeGroup();
        Set<String> there = new HashSet<>();
        files(trips).forEach(file -> there.add(name(file.location())));
        CountDownLatch reached =
                HoldingFileIO.hold(
                        2, path -> path.endsWith(".parquet") && !there.contains(name(path)));
        lake.sql();
        CompletableFuture<Map<String, Object>> done =
                CompletableFuture.supplyAsync(() -> sort("id, zone"));
        assertThat(reached.await(LIMIT.toSeconds(), TimeUnit.SECONDS)).isTrue();
        cluster.flink.terminateTaskManager(0).get();
        cluster.flink.startTaskManager();
        assertThat(done.get(LIMIT.toSeconds(), TimeUnit.SECONDS))
                .containsEntry("groups", 1)
                .containsEntry("failed_groups", 0);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(cluster.jobs()).as("a sample and a sort, twice").isEqualTo(4);
        int old = 2 * GROUPS + 8;
        assertThat(onDisk(trips.location() + "/data")).hasSize(old + sorted().size());
    }

    private static String name(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    @Test
    void aFatalErrorIsNotRetried() throws Exception {
        lake.options.put("io-impl", SwappingFileIO.class.getName());
        SwappingFileIO.dies = true;
        try {
            assertThatThrownBy(this::rewrite).hasMessageContaining("could be rewritten");
        } finally {
            SwappingFileIO.dies = false;
        }
        assertThat(cluster.jobs()).isEqualTo(1);
    }
}
