package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.JAN_6;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.onDisk;
import static lakehouse.Lakehouse.partition;
import static lakehouse.Lakehouse.rows;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.ManifestFiles;
import org.apache.iceberg.PartitionData;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.RowDelta;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.BaseDeleteLoader;
import org.apache.iceberg.deletes.PositionDelete;
import org.apache.iceberg.io.OutputFileFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RewritePositionDeleteFilesTest {
    @TempDir Path folder;
    private Lakehouse lake;
    private Table trips;
    private DataFile first;
    private DataFile second;

    /** Adds two files with ten rows each to a partition. */
    @BeforeEach
    void open() throws Exception {
        FaultyCatalog.NEXT.set(null);
        SwappingFileIO.other = null;
        lake = new Lakehouse(folder, FaultyCatalog.class.getName());
        lake.options.put("io-impl", SwappingFileIO.class.getName());
        trips = lake.trips();
        first = append(trips, JAN_5, ten(0, JAN_5));
        second = append(trips, JAN_5, ten(100, JAN_5));
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    private static RowData[] ten(int from, LocalDate day) {
        return LongStream.range(from, from + 10)
                .mapToObj(id -> trip(id, day, 1, "a"))
                .toArray(RowData[]::new);
    }

    private Map<String, Object> rewrite(String arguments) {
        return lake.call(
                "rewrite_position_delete_files(`table` => 'silver.trips'" + arguments + ")");
    }

    private static DeleteFile deletes(
            Table table, PartitionSpec spec, StructLike partition, DataFile file, long... positions)
            throws Exception {
        OutputFileFactory files =
                OutputFileFactory.builderFor(table, 0, System.nanoTime())
                        .format(FileFormat.PARQUET)
                        .build();
        var writer =
                Lakehouse.writers(table)
                        .newPositionDeleteWriter(
                                spec.isUnpartitioned()
                                        ? files.newOutputFile()
                                        : files.newOutputFile(spec, partition),
                                spec,
                                partition);
        try (writer) {
            for (long position : positions) {
                writer.write(PositionDelete.<RowData>create().set(file.location(), position, null));
            }
        }
        return writer.toDeleteFile();
    }

    /** Adds one snapshot that deletes rows of a file. */
    private static DeleteFile delete(Table table, LocalDate day, DataFile file, long... positions)
            throws Exception {
        DeleteFile written = deletes(table, table.spec(), partition(table, day), file, positions);
        table.newRowDelta().addDeletes(written).commit();
        return written;
    }

    /** Adds six delete files, with some positions twice. */
    private List<DeleteFile> six() throws Exception {
        List<DeleteFile> files = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            files.add(delete(trips, JAN_5, first, i, i + 2));
            files.add(delete(trips, JAN_5, second, 3 * i));
        }
        return files;
    }

    /** The deletes in the current snapshot that a reader of each data file applies. */
    private static List<String> deleted(Table table) throws Exception {
        table.refresh();
        BaseDeleteLoader loader = new BaseDeleteLoader(file -> table.io().newInputFile(file));
        TreeSet<String> deleted = new TreeSet<>();
        try (var tasks = table.newScan().planFiles()) {
            tasks.forEach(
                    task ->
                            loader.loadPositionDeletes(task.deletes(), task.file().location())
                                    .forEach(at -> deleted.add(task.file().location() + at)));
        }
        return List.copyOf(deleted);
    }

    /** The delete files of the current snapshot, including dangling ones. */
    private static List<DeleteFile> deleteFiles(Table table) throws Exception {
        table.refresh();
        List<DeleteFile> files = new ArrayList<>();
        for (var manifest : table.currentSnapshot().deleteManifests(table.io())) {
            try (var entries =
                    ManifestFiles.readDeleteManifest(manifest, table.io(), table.specs())) {
                entries.forEach(file -> files.add(file.copy()));
            }
        }
        return files;
    }

    @Test
    void manySmallFilesBecomeOnePerPartition() throws Exception {
        List<DeleteFile> small = six();
        DataFile third = append(trips, JAN_6, ten(200, JAN_6));
        delete(trips, JAN_6, third, 5);
        List<String> before = rows(trips);
        List<String> deletes = deleted(trips);
        assertThat(deletes).hasSize(9);
        Map<String, Object> done = rewrite("");
        assertThat(done)
                .containsEntry("rewritten_delete_files_count", 6L)
                .containsEntry("added_delete_files_count", 1L)
                .containsEntry(
                        "rewritten_bytes_count",
                        small.stream().mapToLong(DeleteFile::fileSizeInBytes).sum())
                .containsEntry("groups", 1)
                .containsEntry("failed_groups", 0)
                .containsEntry("reasons", null);
        assertThat(deleted(trips)).isEqualTo(deletes);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(deleteFiles(trips)).hasSize(2);
        DeleteFile big =
                deleteFiles(trips).stream().filter(f -> f.recordCount() == 8).findFirst().get();
        assertThat(done).containsEntry("added_bytes_count", big.fileSizeInBytes());
        assertThat(trips.currentSnapshot().operation()).isEqualTo("replace");
        assertThat(rewrite("")).containsEntry("groups", 0);
    }

    @Test
    void danglingDeletesAreDropped() throws Exception {
        // Without an older data file, Iceberg itself would drop deletes older than all data files.
        append(trips, JAN_6, ten(200, JAN_6));
        six();
        trips.newDelete().deleteFile(second).commit();
        List<String> deletes = deleted(trips);
        assertThat(rewrite("")).containsEntry("rewritten_delete_files_count", 6L);
        assertThat(deleted(trips)).isEqualTo(deletes).hasSize(5);
        assertThat(deleteFiles(trips))
                .singleElement()
                .satisfies(file -> assertThat(file.recordCount()).isEqualTo(5));
        trips.newDelete().deleteFile(first).commit();
        assertThat(rewrite(", options => 'rewrite-all=true'"))
                .containsEntry("rewritten_delete_files_count", 1L)
                .containsEntry("added_delete_files_count", 0L);
        assertThat(deleteFiles(trips)).isEmpty();
    }

    /** A file is added again after rows of it were deleted. */
    @Test
    void deletesOlderThanTheDataFileStillDoNotApply() throws Exception {
        delete(trips, JAN_5, first, 9);
        trips.newDelete().deleteFile(first).commit();
        trips.newAppend().appendFile(first).commit();
        six();
        List<String> deletes = deleted(trips);
        assertThat(deletes).hasSize(8).doesNotContain(first.location() + 9);
        assertThat(rewrite("")).containsEntry("rewritten_delete_files_count", 7L);
        assertThat(deleted(trips)).isEqualTo(deletes);
    }

    /** Rows without a day, written before and after the table was partitioned. */
    @Test
    void filesOfSeveralPartitionSpecsMayBelongToOnePartition() throws Exception {
        Table flat = lake.table("silver.flat", PartitionSpec.unpartitioned(), Map.of());
        DataFile early = append(flat, null, ten(0, JAN_5));
        PartitionSpec none = flat.spec();
        flat.updateSpec().addField("day").commit();
        PartitionData noDay = new PartitionData(flat.spec().partitionType());
        var writer =
                Lakehouse.writers(flat)
                        .newDataWriter(
                                OutputFileFactory.builderFor(flat, 0, 1)
                                        .format(FileFormat.PARQUET)
                                        .build()
                                        .newOutputFile(flat.spec(), noDay),
                                flat.spec(),
                                noDay);
        try (writer) {
            for (RowData row : ten(100, JAN_5)) {
                ((GenericRowData) row).setField(1, null);
                writer.write(row);
            }
        }
        DataFile late = writer.toDataFile();
        flat.newAppend().appendFile(late).commit();
        RowDelta delta = flat.newRowDelta();
        for (int i = 0; i < 3; i++) {
            delta.addDeletes(deletes(flat, none, null, early, i));
            delta.addDeletes(deletes(flat, flat.spec(), noDay, late, 3 + i));
        }
        delta.commit();
        List<String> before = rows(flat);
        assertThat(before).hasSize(14);
        assertThat(lake.call("rewrite_position_delete_files('silver.flat')"))
                .containsEntry("rewritten_delete_files_count", 6L)
                .containsEntry("added_delete_files_count", 2L);
        assertThat(rows(flat)).isEqualTo(before);
    }

    @Test
    void eachDataFileMayHaveItsOwnDeleteFile() throws Exception {
        six();
        trips.updateProperties().set("write.delete.granularity", "file").commit();
        List<String> deletes = deleted(trips);
        assertThat(rewrite("")).containsEntry("added_delete_files_count", 2L);
        assertThat(deleted(trips)).isEqualTo(deletes);
    }

    @Test
    void onlyTheRequestedFilesAreRewritten() throws Exception {
        six();
        assertThat(rewrite(", `where` => '`day` = DATE ''2024-01-06'''"))
                .containsEntry("rewritten_delete_files_count", 0L);
        assertThat(rewrite(", options => 'min-input-files=7'"))
                .containsEntry("rewritten_delete_files_count", 0L);
        assertThat(rewrite(", `where` => '`day` = DATE ''2024-01-05'''"))
                .containsEntry("rewritten_delete_files_count", 6L);
    }

    @Test
    void invalidCallsAreRefused() throws Exception {
        assertThatThrownBy(() -> rewrite(", options => 'delete-file-threshold=2'"))
                .hasMessageContaining("unknown option delete-file-threshold; the options are")
                .hasMessageContaining("rewrite-all");
        lake.table("silver.vectors", Lakehouse.BY_DAY, Map.of("format-version", "3"));
        assertThatThrownBy(() -> lake.call("rewrite_position_delete_files('silver.vectors')"))
                .hasMessageContaining("silver.vectors has format version 3")
                .hasMessageContaining("Next: call rewrite_data_files");
    }

    @Test
    void aConcurrentDeleteIsKept() throws Exception {
        six();
        List<String> before = rows(trips);
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    delete(lake.load("silver.trips"), JAN_5, first, 8);
                    table.commit(base, metadata);
                });
        assertThat(rewrite("")).containsEntry("groups", 1);
        assertThat(rows(trips)).hasSize(before.size() - 1);
        assertThat(deleteFiles(trips)).hasSize(2);
    }

    @Test
    void aConcurrentlyReplacedDeleteFileIsAConflict() throws Exception {
        List<DeleteFile> small = six();
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    lake.load("silver.trips").newRewrite().deleteFile(small.get(0)).commit();
                    table.commit(base, metadata);
                });
        assertThat(rewrite("")).containsEntry("groups", 0).containsEntry("conflicts", 1);
        assertThat(deleteFiles(trips)).hasSize(5);
        assertThat(onDisk(trips.location() + "/data")).as("none left over").hasSize(8);
    }

    /** Dangling deletes apply again after a rollback. */
    @Test
    void aConcurrentRollbackIsAConflict() throws Exception {
        six();
        List<String> before = rows(trips);
        long snapshot = trips.currentSnapshot().snapshotId();
        trips.newDelete().deleteFile(second).commit();
        FaultyCatalog.NEXT.set(
                (table, base, metadata) -> {
                    lake.load("silver.trips").manageSnapshots().rollbackTo(snapshot).commit();
                    table.commit(base, metadata);
                });
        assertThat(rewrite(""))
                .containsEntry("conflicts", 1)
                .hasEntrySatisfying(
                        "reasons",
                        reasons -> assertThat((String) reasons).contains("was rolled back"));
        assertThat(rows(trips)).isEqualTo(before);
    }

    @Test
    void deletesThatChangeDuringTheRewriteAreNotCommitted() throws Exception {
        SwappingFileIO.other = six().get(0).location();
        long snapshot = trips.currentSnapshot().snapshotId();
        assertThatThrownBy(() -> rewrite(""))
                .hasMessageContaining("the deletes of partition")
                .hasMessageContaining("changed during the rewrite");
        trips.refresh();
        assertThat(trips.currentSnapshot().snapshotId()).isEqualTo(snapshot);
        assertThat(onDisk(trips.location() + "/data")).as("none left over").hasSize(8);
    }
}
