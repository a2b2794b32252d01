package lakehouse.rewrite;

import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.memory.ManagedMemoryUseCase;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;
import org.apache.iceberg.ContentFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteGroupBase;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Has Flink write groups of files again, and replaces them by a few commits, so that a conflict
 * costs a group and not the run.
 */
class GroupRun<G extends RewriteGroupBase<?, ?, F>, F extends ContentFile<F>> {
    private static final Logger LOG = LoggerFactory.getLogger(GroupRun.class);

    /** What one job carries: its description of the files is sent to the cluster whole. */
    private static final int FILES_PER_JOB = 5_000;

    private static final int SORT_MEMORY_MIB = 64;

    private static final long END_LIMIT_S = 60;

    private final Table table;
    private final String job;
    private final String runId;
    private final RewriteOptions options;
    private final Supplier<StreamExecutionEnvironment> cluster;
    private final GroupKind<G, F> kind;
    private final RewriteResult result = new RewriteResult();

    /**
     * @param job its name
     * @param runId stands in the name of each file that is written
     * @param cluster gives an environment for each job
     */
    GroupRun(
            Table table,
            String job,
            String runId,
            RewriteOptions options,
            Supplier<StreamExecutionEnvironment> cluster,
            GroupKind<G, F> kind) {
        this.table = table;
        this.job = job;
        this.runId = runId;
        this.options = options;
        this.cluster = cluster;
        this.kind = kind;
    }

    RewriteResult rewrite(List<G> groups) {
        Commits<G, F> commits = new Commits<>(table, runId, groups.size(), options, kind, result);
        for (int first = 0, next;
                first < groups.size() && (options.partialProgress() || result.failedGroups == 0);
                first = next) {
            int files = kind.named(first, groups.get(first));
            for (next = first + 1; next < groups.size(); next++) {
                files += kind.named(next, groups.get(next));
                if (files > FILES_PER_JOB) {
                    break;
                }
            }
            new Job(groups.subList(first, next), first, commits).run();
        }
        if (!options.partialProgress()) {
            commitAll(commits, groups.size());
        }
        if (result.failedGroups > 0
                && (!options.partialProgress()
                        || result.groups == 0 && result.conflicts < result.failedGroups)) {
            throw new IllegalStateException(
                    "No file of table "
                            + table.name()
                            + " could be rewritten: "
                            + String.join("; ", result.reasons)
                            + (commits.kept().isEmpty() ? ". Nothing was changed" : "")
                            + "; the log of Flink's TaskManager says more");
        }
        return result;
    }

    /** All groups by one commit, if all were written. */
    private void commitAll(Commits<G, F> commits, int groups) {
        if (result.failedGroups == 0) {
            commits.flush();
        }
        if (result.failedGroups > 0) {
            Set<Integer> left = IntStream.range(0, groups).boxed().collect(Collectors.toSet());
            left.removeAll(commits.kept());
            Leftovers.delete(table, runId, left);
        }
    }

    /** One Flink job over some of the groups, and their commits. */
    private class Job {
        private final List<G> groups;
        private final int first;
        private final Commits<G, F> commits;
        private final Map<Integer, G> open = new HashMap<>();
        private final Map<Integer, List<F>> written = new HashMap<>();
        private JobClient client;

        Job(List<G> groups, int first, Commits<G, F> commits) {
            this.groups = groups;
            this.first = first;
            this.commits = commits;
            for (int i = 0; i < groups.size(); i++) {
                open.put(first + i, groups.get(i));
                written.put(first + i, new ArrayList<>());
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
            if (options.partialProgress()) {
                commits.flush();
            }
            if (result.failedGroups > failedBefore) {
                cleanUp();
            }
        }

        private CloseableIterator<byte[]> submit() throws Exception {
            StreamExecutionEnvironment environment = cluster.get();
            int parallelism = options.parallelism(environment.getParallelism(), groups.size());
            GroupOperator<?> operator = kind.operator(first, groups);
            SingleOutputStreamOperator<byte[]> rewritten =
                    environment
                            .fromSequence(0, groups.size() - 1)
                            .setParallelism(parallelism)
                            .transform(
                                    "rewrite",
                                    PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                                    operator)
                            .setParallelism(parallelism);
            if (operator.sorts()) {
                rewritten
                        .getTransformation()
                        .declareManagedMemoryUseCaseAtOperatorScope(
                                ManagedMemoryUseCase.OPERATOR, SORT_MEMORY_MIB);
            }
            CloseableIterator<byte[]> progress = rewritten.collectAsync();
            client = environment.executeAsync(job);
            return progress;
        }

        @SuppressWarnings("unchecked")
        private void took(Progress progress) {
            int index = progress.group();
            if (progress instanceof Progress.Written file) {
                written.get(index).add((F) file.file());
            } else if (progress instanceof Progress.Failed failure) {
                open.remove(index);
                result.failed(failure.reason());
            } else if (progress instanceof Progress.Done done) {
                if (!done.before().equals(done.after())) {
                    throw new MismatchException(
                            "Table "
                                    + table.name()
                                    + ": "
                                    + kind.content(open.get(index))
                                    + " changed on the way ("
                                    + done.before()
                                    + " before, "
                                    + done.after()
                                    + " after). Nothing of this group was committed; the files that"
                                    + " were read and written need a look");
                }
                G group = open.remove(index);
                kind.written(group, written.get(index));
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

    /** What differs after they were written. */
    private static class MismatchException extends IllegalStateException {
        private static final long serialVersionUID = 1L;

        MismatchException(String message) {
            super(message);
        }
    }
}
