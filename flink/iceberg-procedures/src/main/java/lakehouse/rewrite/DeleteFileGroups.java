package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.RewriteFiles;
import org.apache.iceberg.SerializableTable;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotAncestryValidator;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewritePositionDeletesGroup;
import org.apache.iceberg.util.DeleteFileSet;

/**
 * Position delete files.
 *
 * @param startSnapshot snapshot that contains the files
 * @param dataFiles for each group, the data files that its deletes apply to
 */
record DeleteFileGroups(
        Table table, long startSnapshot, List<Map<String, Long>> dataFiles, String runId)
        implements GroupKind<RewritePositionDeletesGroup, DeleteFile> {
    @Override
    public boolean divisible(RewritePositionDeletesGroup group) {
        return false;
    }

    @Override
    public DataStream<byte[]> job(
            StreamExecutionEnvironment environment,
            JobPlan plan,
            SortedMap<Integer, RewritePositionDeletesGroup> groups) {
        List<DeleteGroup> tasks =
                groups.entrySet().stream()
                        .map(group -> task(group.getKey(), group.getValue()))
                        .toList();
        return new DeleteOperator(tasks, SerializableTable.copyOf(table), runId, plan.attempt())
                .on(environment, plan.tasks());
    }

    private DeleteGroup task(int index, RewritePositionDeletesGroup group) {
        return new DeleteGroup(
                index,
                new ArrayList<>(group.rewrittenDeleteFiles()),
                dataFiles.get(index),
                group.maxOutputFileSize());
    }

    @Override
    public int named(int index, RewritePositionDeletesGroup group) {
        return group.inputFileNum() + dataFiles.get(index).size();
    }

    @Override
    public void written(RewritePositionDeletesGroup group, List<DeleteFile> files) {
        group.setOutputFiles(DeleteFileSet.of(files));
    }

    @Override
    public Collection<DeleteFile> added(RewritePositionDeletesGroup group) {
        return group.addedDeleteFiles();
    }

    /**
     * Only commits to descendants of the planned snapshot: a rollback may bring back data files
     * that need the deletes that were dangling.
     */
    @Override
    public void commit(
            Collection<RewritePositionDeletesGroup> groups, Map<String, String> summary) {
        RewriteFiles rewrite =
                table.newRewrite()
                        .validateFromSnapshot(startSnapshot)
                        .validateWith(new Descends(startSnapshot));
        for (RewritePositionDeletesGroup group : groups) {
            group.rewrittenDeleteFiles().forEach(rewrite::deleteFile);
            group.addedDeleteFiles()
                    .forEach(file -> rewrite.addFile(file, group.maxRewrittenDataSequenceNumber()));
        }
        summary.forEach(rewrite::set);
        rewrite.commit();
    }

    private record Descends(long snapshot) implements SnapshotAncestryValidator {
        @Override
        public boolean validate(Iterable<Snapshot> ancestors) {
            for (Snapshot ancestor : ancestors) {
                if (ancestor.snapshotId() == snapshot) {
                    return true;
                }
            }
            return false;
        }

        @Override
        public String errorMessage() {
            return "the table was rolled back to before snapshot " + snapshot;
        }
    }

    @Override
    public String content(RewritePositionDeletesGroup group) {
        return "the deletes of partition " + group.info().partition();
    }
}
