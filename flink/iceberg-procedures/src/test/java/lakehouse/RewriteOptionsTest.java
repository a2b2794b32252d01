package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.files;
import static lakehouse.Lakehouse.onDisk;
import static lakehouse.Lakehouse.rows;
import static lakehouse.Lakehouse.trip;
import static lakehouse.Lakehouse.twoFilesADay;
import static lakehouse.Lakehouse.write;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.apache.flink.runtime.client.JobStatusMessage;
import org.apache.flink.runtime.executiongraph.AccessExecutionJobVertex;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RewriteOptionsTest {
    @TempDir Path folder;
    private Lakehouse lake;
    private Table trips;

    /** Adds two files with one row each to every one of six partitions. */
    @BeforeEach
    void open() throws Exception {
        FaultyCatalog.NEXT.set(null);
        lake = new Lakehouse(folder, FaultyCatalog.class.getName());
        trips = lake.trips();
        twoFilesADay(trips, 6);
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    private Map<String, Object> rewrite(String options, String arguments) {
        return lake.call(
                "rewrite_data_files(`table` => 'silver.trips', options => '"
                        + options
                        + "'"
                        + arguments
                        + ")");
    }

    private Map<String, Object> rewrite(String options) {
        return rewrite(options, "");
    }

    private long planned(String options) {
        return (long) rewrite(options, ", dry_run => true").get("rewritten_data_files_count");
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
    void optionsSelectTheFiles() throws Exception {
        long size = files(trips).get(0).fileSizeInBytes();
        assertThat(planned("min-input-files=2")).isEqualTo(12);
        assertThat(planned("min-input-files=3")).isZero();
        assertThat(planned("rewrite-all=true")).isEqualTo(12);
        assertThat(planned("rewrite-all=true, max-files-to-rewrite=4")).isEqualTo(4);
        assertThat(planned("min-input-files=2,min-file-size-bytes=" + size / 2)).isZero();
        assertThat(rewrite("rewrite-all=true,max-file-group-input-files=1", ", dry_run => true"))
                .containsEntry("groups", 12);
        assertThat(
                        rewrite(
                                "rewrite-all=true,max-file-group-size-bytes=" + (size + 1),
                                ", dry_run => true"))
                .containsEntry("groups", 12);
    }

    @Test
    void errorsNameTheOptionAndTheChoices() throws Exception {
        assertThatThrownBy(() -> rewrite("rewrite-everything=true"))
                .hasMessageContaining("options => 'rewrite-everything=true'")
                .hasMessageContaining("unknown option rewrite-everything")
                .hasMessageContaining("rewrite-all, rewrite-job-order");
        assertThatThrownBy(() -> rewrite("rewrite-all=yes"))
                .hasMessageContaining("options => 'rewrite-all=yes' is not true or false");
        assertThatThrownBy(() -> rewrite("min-input-files=0"))
                .hasMessageContaining(
                        "options => 'min-input-files=0' is not a number greater than 0");
        assertThatThrownBy(() -> rewrite("delete-ratio-threshold=1.5"))
                .hasMessageContaining("is not a ratio greater than 0 and at most 1");
        assertThatThrownBy(() -> rewrite("rewrite-job-order=random"))
                .hasMessageContaining("bytes-asc");
        assertThatThrownBy(() -> rewrite("target-file-size-bytes=10,min-file-size-bytes=20"))
                .hasMessageContaining("options => {min-file-size-bytes=20, target-file-size");
        assertThatThrownBy(() -> rewrite("rewrite-all"))
                .hasMessageContaining("options => 'rewrite-all' is not of the form 'a=b,c=d'");
        assertThatThrownBy(() -> rewrite("min-input-files=2", ", min_input_files => 2"))
                .hasMessageContaining("min_input_files => 2 is also set in options");
        assertThat(files(trips)).hasSize(12);
    }

    @Test
    void theNumberOfConcurrentGroupsIsLimited() throws Exception {
        assertThat(rewrite("min-input-files=2,max-concurrent-file-group-rewrites=2"))
                .containsEntry("groups", 6);
        MiniCluster flink = Cluster.running().flink;
        JobStatusMessage job =
                flink.listJobs().get().stream()
                        .filter(one -> one.getJobName().equals("rewrite_data_files silver.trips"))
                        .max(Comparator.comparing(JobStatusMessage::getStartTime))
                        .orElseThrow();
        assertThat(flink.getExecutionGraph(job.getJobId()).get().getAllVertices().values())
                .extracting(AccessExecutionJobVertex::getParallelism)
                .contains(2);
    }

    @Test
    void theNumberOfCommitsIsLimited() throws Exception {
        rewrite("min-input-files=2,partial-progress.max-commits=3");
        assertThat(replaces()).isEqualTo(3);
    }

    @Test
    void withoutPartialProgressThereIsOneCommit() throws Exception {
        List<String> before = rows(trips);
        assertThat(rewrite("min-input-files=2,partial-progress.enabled=false"))
                .containsEntry("groups", 6)
                .containsEntry("failed_groups", 0);
        assertThat(replaces()).isEqualTo(1);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips)).hasSize(6);
    }

    @Test
    void withoutPartialProgressAConflictFailsTheRewrite() throws Exception {
        DataFile victim = files(trips).get(0);
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    lake.load("silver.trips").newDelete().deleteFile(victim).commit();
                    table.commit(base, metadata);
                });
        assertThatThrownBy(() -> rewrite("min-input-files=2,partial-progress.enabled=false"))
                .hasMessageContaining("Missing required files to delete")
                .hasMessageContaining("Nothing was changed");
        assertThat(files(trips)).hasSize(11);
        assertThat(onDisk(trips.location() + "/data")).as("none left over").hasSize(12);
    }

    @Test
    void withoutPartialProgressAnUnreadableFileFailsTheRewrite() throws Exception {
        Files.delete(Path.of(files(trips).get(0).location().replaceFirst("^file:/*", "/")));
        assertThatThrownBy(() -> rewrite("min-input-files=2,partial-progress.enabled=false"))
                .hasMessageContaining("could be rewritten")
                .hasMessageContaining("Nothing was changed");
        assertThat(replaces()).isZero();
        assertThat(onDisk(trips.location() + "/data")).as("none left over").hasSize(11);
    }

    @Test
    void withoutTheStartingSequenceNumberAConcurrentDeleteIsAConflict() throws Exception {
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    Table other = lake.load("silver.trips");
                    DeleteFile equals = Lakehouse.deletesOf(other, JAN_5, 100);
                    other.newRowDelta().addDeletes(equals).commit();
                    table.commit(base, metadata);
                });
        assertThat(rewrite("min-input-files=2,use-starting-sequence-number=false"))
                .containsEntry("groups", 5)
                .containsEntry("conflicts", 1);
        assertThat(rows(trips)).hasSize(11);
    }

    @Test
    void aBranchIsRewrittenSeparately() throws Exception {
        trips.manageSnapshots().createBranch("audit").commit();
        long main = trips.currentSnapshot().snapshotId();
        trips.newAppend()
                .appendFile(write(trips, JAN_5, trip(7, JAN_5, 3, "c")))
                .toBranch("audit")
                .commit();
        assertThat(rewrite("min-input-files=3", ", branch => 'audit'"))
                .containsEntry("rewritten_data_files_count", 3L)
                .containsEntry("rewritten_rows", 3L);
        trips.refresh();
        assertThat(trips.currentSnapshot().snapshotId()).isEqualTo(main);
        assertThat(trips.snapshot("audit").operation()).isEqualTo("replace");
        assertThat(trips.snapshot("audit").summary()).containsEntry("total-records", "13");
        assertThat(rewrite("min-input-files=2", ", branch => 'main'"))
                .containsEntry("rewritten_data_files_count", 12L);
    }

    @Test
    void aBranchMustExist() {
        trips.manageSnapshots().createBranch("audit").commit();
        trips.manageSnapshots().createTag("monthly", trips.currentSnapshot().snapshotId()).commit();
        for (String branch : List.of("adit", "monthly")) {
            assertThatThrownBy(() -> rewrite("rewrite-all=true", ", branch => '" + branch + "'"))
                    .hasMessageContaining("has no branch '" + branch + "'; it has [audit, main]");
        }
    }
}
