package lakehouse.rewrite;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Supplier;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableUtil;
import org.apache.iceberg.actions.BinPackRewritePositionDeletePlanner;
import org.apache.iceberg.actions.RewritePositionDeletesGroup;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;

/** One rewrite of a table's position delete files: selects and groups them. */
public class DeletesRewrite {
    /** Limited, because a task keeps the positions of a group in memory. */
    private static final long GROUP_BYTES = 64L << 20;

    /** Jobs have this prefix and the table in their names, so that other calls recognise them. */
    public static final String JOB = "rewrite_position_delete_files ";

    private final Table table;
    private final String name;
    private final Expression filter;
    private final RewriteOptions options;
    private final Supplier<StreamExecutionEnvironment> cluster;
    private final String runId = UUID.randomUUID().toString();

    /**
     * @param name database and table, for the name of the job
     * @param where condition; partitions with matching rows are considered; null for all
     * @param cluster provides an environment for each job
     */
    public DeletesRewrite(
            Table table,
            String name,
            String where,
            RewriteOptions options,
            Configuration session,
            Supplier<StreamExecutionEnvironment> cluster) {
        if (TableUtil.formatVersion(table) >= 3) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has format version "
                            + TableUtil.formatVersion(table)
                            + ", in which each data file has at most one deletion vector: there is"
                            + " nothing to merge. Next: call rewrite_data_files, which applies all"
                            + " kinds of deletes");
        }
        this.table = table;
        this.name = name;
        this.filter =
                where == null ? Expressions.alwaysTrue() : WhereClause.parse(table, where, session);
        this.options = options;
        this.cluster = cluster;
    }

    public RewriteResult run() {
        Snapshot start = table.currentSnapshot();
        if (start == null) {
            return new RewriteResult();
        }
        BinPackRewritePositionDeletePlanner planner =
                new BinPackRewritePositionDeletePlanner(table, filter, true);
        options.init(planner, GROUP_BYTES, Long.MAX_VALUE);
        List<RewritePositionDeletesGroup> groups = new ArrayList<>();
        planner.plan().groups().forEach(groups::add);
        return new GroupRun<>(
                        table,
                        JOB + name,
                        runId,
                        options,
                        cluster,
                        new DeleteFileGroups(
                                table, start.snapshotId(), dataFiles(start, groups), runId))
                .rewrite(groups);
    }

    /** For each group, the data files that its deletes apply to, with their sequence numbers. */
    private List<Map<String, Long>> dataFiles(
            Snapshot start, List<RewritePositionDeletesGroup> groups) {
        List<Map<String, Long>> dataFiles = new ArrayList<>();
        Map<String, Map<String, Long>> byDeleteFile = new HashMap<>();
        for (RewritePositionDeletesGroup group : groups) {
            Map<String, Long> those = new HashMap<>();
            dataFiles.add(those);
            group.rewrittenDeleteFiles().forEach(file -> byDeleteFile.put(file.location(), those));
        }
        if (groups.isEmpty()) {
            return dataFiles;
        }
        try (CloseableIterable<FileScanTask> tasks =
                table.newScan().useSnapshot(start.snapshotId()).planFiles()) {
            for (FileScanTask task : tasks) {
                for (DeleteFile delete : task.deletes()) {
                    Map<String, Long> those = byDeleteFile.get(delete.location());
                    if (those != null) {
                        those.put(task.file().location(), task.file().dataSequenceNumber());
                    }
                }
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return dataFiles;
    }
}
