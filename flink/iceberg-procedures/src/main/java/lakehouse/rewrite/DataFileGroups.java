package lakehouse.rewrite;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.MetadataColumns;
import org.apache.iceberg.RewriteFiles;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SerializableTable;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotAncestryValidator;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteFileGroup;
import org.apache.iceberg.util.DataFileSet;

/**
 * Data files, which are rewritten row by row.
 *
 * @param startSnapshot snapshot that contains the files
 */
record DataFileGroups(
        Table table, long startSnapshot, RewriteRequest request, SortOrder order, String runId)
        implements GroupKind<RewriteFileGroup, DataFile> {
    @Override
    public boolean divisible(RewriteFileGroup group) {
        return request.sort()
                && group.expectedOutputFiles() > 1
                && !FileGroup.of(0, table, group).scattered();
    }

    @Override
    public DataStream<byte[]> job(
            StreamExecutionEnvironment environment,
            JobPlan plan,
            SortedMap<Integer, RewriteFileGroup> groups)
            throws Exception {
        List<FileGroup> tasks =
                groups.entrySet().stream()
                        .map(group -> FileGroup.of(group.getKey(), table, group.getValue()))
                        .toList();
        GroupFiles files = files(schema());
        RowOrder rowOrder = new RowOrder(order, table.schema(), files.rowType());
        if (plan.shared() && divisible(groups.get(groups.firstKey()))) {
            GroupFiles keys = files(SortOrders.columns(table, order));
            SampleOperator sampler =
                    new SampleOperator(
                            tasks.get(0).tasks(),
                            keys,
                            new RowOrder(order, table.schema(), keys.rowType()));
            return new RangedSort(tasks.get(0), files, rowOrder, sampler, request.verify())
                    .job(environment, plan);
        }
        return new RewriteOperator(tasks, files, rowOrder, request.verify(), plan.attempt())
                .on(environment, plan.tasks());
    }

    private GroupFiles files(Schema schema) {
        return new GroupFiles(
                SerializableTable.copyOf(table), schema, SortOrders.known(table, order), runId);
    }

    /** Rows have lineage from the first commit in format version 3. */
    private static boolean hasLineage(Snapshot snapshot) {
        return snapshot.firstRowId() != null;
    }

    private Schema schema() {
        return hasLineage(table.snapshot(startSnapshot))
                ? MetadataColumns.schemaWithRowLineage(table.schema())
                : table.schema();
    }

    @Override
    public int named(int index, RewriteFileGroup group) {
        return group.inputFileNum();
    }

    @Override
    public void written(RewriteFileGroup group, List<DataFile> files) {
        group.setOutputFiles(DataFileSet.of(files));
    }

    @Override
    public Collection<DataFile> added(RewriteFileGroup group) {
        return group.addedFiles();
    }

    @Override
    public void commit(Collection<RewriteFileGroup> groups, Map<String, String> summary) {
        Snapshot start = table.snapshot(startSnapshot);
        RewriteFiles rewrite = table.newRewrite().validateFromSnapshot(startSnapshot);
        if (request.options().startingSequenceNumber()) {
            rewrite.dataSequenceNumber(start.sequenceNumber());
        }
        if (!hasLineage(start)) {
            rewrite.validateWith(new NoLineageSince(startSnapshot));
        }
        for (RewriteFileGroup group : groups) {
            group.rewrittenFiles().forEach(rewrite::deleteFile);
            group.danglingDVs().forEach(rewrite::deleteFile);
            group.addedFiles().forEach(rewrite::addFile);
        }
        summary.forEach(rewrite::set);
        if (request.branch() != null) {
            rewrite.toBranch(request.branch());
        }
        rewrite.commit();
    }

    /** Rejects a commit that would give new IDs to rows that got IDs after they were read. */
    private record NoLineageSince(long snapshot) implements SnapshotAncestryValidator {
        @Override
        public boolean validate(Iterable<Snapshot> ancestors) {
            for (Snapshot ancestor : ancestors) {
                if (hasLineage(ancestor)) {
                    return false;
                }
            }
            return true;
        }

        @Override
        public String errorMessage() {
            return "rows without IDs in snapshot " + snapshot + " have been assigned IDs since";
        }
    }

    @Override
    public String content(RewriteFileGroup group) {
        return "the rows of partition " + group.info().partition();
    }
}
