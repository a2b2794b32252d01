package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.function.Supplier;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.BinPackRewriteFilePlanner;
import org.apache.iceberg.actions.RewriteFileGroup;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;

/** One rewrite of a table's data files: selects and groups them. */
public class Rewrite {
    /**
     * Default size of a group, which is the unit of work and of commits. When sorting, files of
     * larger groups overlap less.
     */
    private static final long GROUP_BYTES = 2L << 30;

    private static final long SORTED_GROUP_BYTES = 16L << 30;

    /** Jobs have this prefix and the table in their names, so that other calls recognise them. */
    public static final String JOB = "rewrite_data_files ";

    private final Table table;
    private final RewriteRequest request;
    private final Supplier<StreamExecutionEnvironment> cluster;
    private final SortOrder order;
    private final Expression filter;
    private final String runId = UUID.randomUUID().toString();

    /**
     * @param cluster provides an environment for each job
     */
    public Rewrite(
            Table table,
            RewriteRequest request,
            Configuration session,
            Supplier<StreamExecutionEnvironment> cluster) {
        StoredRows.checkTypes(table);
        this.table = table;
        this.request = request;
        this.cluster = cluster;
        this.order =
                request.sort() ? SortOrders.of(table, request.sortOrder()) : SortOrder.unsorted();
        this.filter =
                request.where() == null
                        ? Expressions.alwaysTrue()
                        : WhereClause.parse(table, request.where(), session);
    }

    public RewriteResult run() {
        Snapshot start =
                request.branch() == null
                        ? table.currentSnapshot()
                        : table.snapshot(request.branch());
        if (start == null) {
            return new RewriteResult();
        }
        List<RewriteFileGroup> groups = plan(start);
        Set<FileFormat> formats = EnumSet.of(GroupFiles.format(table));
        groups.forEach(group -> group.rewrittenFiles().forEach(file -> formats.add(file.format())));
        StoredRows.check(table, formats);
        if (request.dryRun()) {
            RewriteResult planned = new RewriteResult();
            groups.forEach(planned::planned);
            return planned;
        }
        return new GroupRun<>(
                        table,
                        JOB + request.table(),
                        runId,
                        request.options(),
                        cluster,
                        new DataFileGroups(table, start.snapshotId(), request, order, runId))
                .rewrite(groups);
    }

    private List<RewriteFileGroup> plan(Snapshot start) {
        long limit = request.maxRewriteBytes() == null ? Long.MAX_VALUE : request.maxRewriteBytes();
        BinPackRewriteFilePlanner planner =
                new BinPackRewriteFilePlanner(table, filter, start.snapshotId(), true);
        request.options().init(planner, request.sort() ? SORTED_GROUP_BYTES : GROUP_BYTES, limit);
        List<RewriteFileGroup> groups = new ArrayList<>();
        long bytes = 0;
        for (RewriteFileGroup group : planner.plan().groups()) {
            if (group.inputFilesSizeInBytes() <= limit - bytes) {
                bytes += group.inputFilesSizeInBytes();
                groups.add(group);
            }
        }
        return groups;
    }
}
