package lakehouse.rewrite;

import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.memory.ManagedMemoryUseCase;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.util.CloseableIterator;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.SerializableTable;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableUtil;
import org.apache.iceberg.actions.BinPackRewriteFilePlanner;
import org.apache.iceberg.actions.RewriteFileGroup;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.util.DataFileSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * One rewrite of a table's data files: plans groups of files, has Flink write each again, and
 * replaces them by a few commits, so that a conflict costs a group and not the run.
 */
public class Rewrite {
    private static final Logger LOG = LoggerFactory.getLogger(Rewrite.class);

    /**
     * A group is one task's work, committed whole or not. To sort, the bigger it is, the less its
     * files overlap with others.
     */
    private static final long GROUP_BYTES = 2L << 30;

    private static final long SORTED_GROUP_BYTES = 16L << 30;

    /** What one job carries: its description of the files is sent to the cluster whole. */
    private static final int FILES_PER_JOB = 5_000;

    private static final int SORT_MEMORY_MIB = 64;

    private static final long END_LIMIT_S = 60;

    /** Jobs are named by this and the table, so that others can tell who works on it. */
    public static final String JOB = "rewrite_data_files ";

    private final Table table;
    private final RewriteRequest request;
    private final Supplier<StreamExecutionEnvironment> cluster;
    private final SortOrder order;
    private final Expression filter;
    private final String runId = UUID.randomUUID().toString();
    private final RewriteResult result = new RewriteResult();

    /**
     * @param cluster gives an environment for each job
     */
    public Rewrite(
            Table table,
            RewriteRequest request,
            Configuration session,
            Supplier<StreamExecutionEnvironment> cluster) {
        if (TableUtil.formatVersion(table) >= 3) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " is of format version "
                            + TableUtil.formatVersion(table)
                            + ": the ids of its rows would be lost; rewrite_data_files works on"
                            + " versions 1 and 2. Next: rewrite it with an engine that keeps row"
                            + " lineage, such as Spark with Iceberg 1.11");
        }
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
        Snapshot start = table.currentSnapshot();
        if (start == null) {
            return result;
        }
        List<RewriteFileGroup> groups = plan(start);
        Set<FileFormat> formats = EnumSet.of(GroupFiles.format(table));
        groups.forEach(
                group -> group.rewrittenFiles().forEach(file -> formats.add(file.format())));
        StoredRows.check(table, formats);
        if (request.dryRun()) {
            groups.forEach(result::planned);
            return result;
        }
        Commits commits =
                new Commits(table, start.snapshotId(), runId, groups.size(), result);
        for (int first = 0, next; first < groups.size(); first = next) {
            int files = groups.get(first).inputFileNum();
            for (next = first + 1; next < groups.size(); next++) {
                files += groups.get(next).inputFileNum();
                if (files > FILES_PER_JOB) {
                    break;
                }
            }
            new Job(groups.subList(first, next), first, commits).run();
        }
        if (result.failedGroups > 0
                && result.groups == 0
                && result.conflicts < result.failedGroups) {
            throw new IllegalStateException(
                    "No file of table "
                            + table.name()
                            + " could be rewritten: "
                            + String.join("; ", result.reasons)
                            + ". Nothing was changed; the log of Flink's TaskManager says more");
        }
        return result;
    }

    private List<RewriteFileGroup> plan(Snapshot start) {
        long most = request.sort() ? SORTED_GROUP_BYTES : GROUP_BYTES;
        long limit = request.maxRewriteBytes() == null ? Long.MAX_VALUE : request.maxRewriteBytes();
        Map<String, String> options = new HashMap<>();
        options.put(
                BinPackRewriteFilePlanner.MAX_FILE_GROUP_SIZE_BYTES,
                String.valueOf(Math.min(most, limit)));
        options.put(BinPackRewriteFilePlanner.REWRITE_ALL, String.valueOf(request.rewriteAll()));
        put(
                options,
                BinPackRewriteFilePlanner.TARGET_FILE_SIZE_BYTES,
                request.targetFileSizeBytes());
        put(options, BinPackRewriteFilePlanner.MIN_INPUT_FILES, request.minInputFiles());
        put(
                options,
                BinPackRewriteFilePlanner.DELETE_FILE_THRESHOLD,
                request.deleteFileThreshold());
        BinPackRewriteFilePlanner planner =
                new BinPackRewriteFilePlanner(table, filter, start.snapshotId(), true);
        planner.init(options);
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

    private static void put(Map<String, String> options, String key, Object value) {
        if (value != null) {
            options.put(key, value.toString());
        }
    }

    /** One Flink job over some of the groups, and their commits. */
    private class Job {
        private final Commits commits;
        private final Map<Integer, RewriteFileGroup> open = new HashMap<>();
        private final Map<Integer, Set<DataFile>> written = new HashMap<>();
        private final List<FileGroup> tasks = new ArrayList<>();
        private JobClient client;

        Job(List<RewriteFileGroup> groups, int first, Commits commits) {
            this.commits = commits;
            for (RewriteFileGroup group : groups) {
                int index = first + tasks.size();
                open.put(index, group);
                written.put(index, DataFileSet.create());
                tasks.add(FileGroup.of(index, table, group));
            }
        }

        void run() {
            int failedBefore = result.failedGroups;
            try (CloseableIterator<byte[]> progress = submit()) {
                while (progress.hasNext()) {
                    took(Progress.fromBytes(progress.next()));
                }
            } catch (MismatchException error) {
                cleanUp();
                throw error;
            } catch (Exception error) {
                LOG.warn("The job that rewrites {} failed", table.name(), error);
                String reason = Errors.root(error);
                open.values().forEach(group -> result.failed(reason));
            }
            commits.flush();
            if (result.failedGroups > failedBefore) {
                cleanUp();
            }
        }

        private CloseableIterator<byte[]> submit() throws Exception {
            StreamExecutionEnvironment environment = cluster.get();
            int parallelism = Math.min(environment.getParallelism(), tasks.size());
            Table copy = SerializableTable.copyOf(table);
            GroupFiles files = new GroupFiles(copy, SortOrders.known(table, order), runId);
            RowOrder rowOrder = new RowOrder(order, table.schema(), files.rowType());
            SingleOutputStreamOperator<byte[]> rewritten =
                    environment
                            .fromSequence(0, tasks.size() - 1)
                            .setParallelism(parallelism)
                            .transform(
                                    "rewrite",
                                    PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                                    new RewriteOperator(tasks, files, rowOrder, request.verify()))
                            .setParallelism(parallelism);
            if (!rowOrder.isNone() || tasks.stream().anyMatch(FileGroup::scattered)) {
                rewritten
                        .getTransformation()
                        .declareManagedMemoryUseCaseAtOperatorScope(
                                ManagedMemoryUseCase.OPERATOR, SORT_MEMORY_MIB);
            }
            CloseableIterator<byte[]> progress = rewritten.collectAsync();
            client = environment.executeAsync(JOB + request.table());
            return progress;
        }

        private void took(Progress progress) {
            int index = progress.group();
            if (progress instanceof Progress.Written file) {
                written.get(index).add(file.file());
            } else if (progress instanceof Progress.Failed failure) {
                open.remove(index);
                result.failed(failure.reason());
            } else if (progress instanceof Progress.Done done) {
                if (!done.before().equals(done.after())) {
                    throw new MismatchException(
                            "Table "
                                    + table.name()
                                    + ": the rows of partition "
                                    + open.get(index).info().partition()
                                    + " changed on the way ("
                                    + done.before()
                                    + " before, "
                                    + done.after()
                                    + " after). Nothing of this group was committed; the files that"
                                    + " were read and written need a look");
                }
                RewriteFileGroup group = open.remove(index);
                group.setOutputFiles(written.get(index));
                commits.add(index, group, done.before().rows());
            }
        }

        private void awaitEnd() {
            try {
                if (client != null) {
                    client.getJobExecutionResult().get(END_LIMIT_S, TimeUnit.SECONDS);
                }
            } catch (ExecutionException | CancellationException ended) {
                LOG.debug("The job that rewrites {} has ended", table.name(), ended);
            } catch (TimeoutException late) {
                LOG.warn("The job that rewrites {} does not end; it may leave files", table.name());
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }

        /** When the job has ended: until then a task that is cancelled may finish a file. */
        private void cleanUp() {
            awaitEnd();
            Set<Integer> indexes = new HashSet<>(written.keySet());
            indexes.removeAll(commits.kept());
            Leftovers.delete(table, runId, indexes);
        }
    }

    /** Rows that differ after they were written. */
    public static class MismatchException extends IllegalStateException {
        private static final long serialVersionUID = 1L;

        MismatchException(String message) {
            super(message);
        }
    }
}
