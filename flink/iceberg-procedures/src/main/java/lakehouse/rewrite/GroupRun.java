package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.client.JobCancellationException;
import org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;
import org.apache.flink.util.ExceptionUtils;
import org.apache.iceberg.ContentFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteGroupBase;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Rewrites groups of files in Flink jobs and replaces them in a few commits, so that a conflict
 * costs only one group, not the run.
 */
class GroupRun<G extends RewriteGroupBase<?, ?, F>, F extends ContentFile<F>> {
    private static final Logger LOG = LoggerFactory.getLogger(GroupRun.class);

    /** Files per job: a job's description of its files is sent to the cluster in one piece. */
    private static final int FILES_PER_JOB = 5_000;

    private static final long END_LIMIT_S = 60;

    private final Table table;
    private final String job;
    private final String runId;
    private final RewriteOptions options;
    private final Supplier<StreamExecutionEnvironment> cluster;
    private final GroupKind<G, F> kind;
    private final int parallelism;
    private final RewriteResult result = new RewriteResult();

    /**
     * @param job name of the job
     * @param runId part of each written file's name
     * @param cluster provides an environment for each job
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
        this.parallelism = options.parallelism(cluster.get().getParallelism());
    }

    RewriteResult rewrite(List<G> groups) {
        boolean shared = groups.size() < parallelism;
        Commits<G, F> commits = new Commits<>(table, runId, groups.size(), options, kind, result);
        for (int first = 0, next;
                first < groups.size() && (options.partialProgress() || result.failedGroups == 0);
                first = next) {
            int files = kind.named(first, groups.get(first));
            for (next = first + 1; next < groups.size(); next++) {
                if (shared
                        && (kind.divisible(groups.get(first))
                                || kind.divisible(groups.get(next)))) {
                    break;
                }
                files += kind.named(next, groups.get(next));
                if (files > FILES_PER_JOB) {
                    break;
                }
            }
            new Job(groups.subList(first, next), first, shared, commits).run();
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
                            + "; see the log of Flink's TaskManager");
        }
        return result;
    }

    /** Commits all groups at once, if all were written. */
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

    /**
     * Some of the groups, and their commits. If the first job is lost with a TaskManager, a second
     * one rewrites the remaining groups.
     */
    private class Job {
        private final Set<Integer> indexes;
        private final Commits<G, F> commits;
        private final SortedMap<Integer, G> open = new TreeMap<>();
        private final Map<Integer, List<F>> written = new HashMap<>();
        private final boolean shared;
        private JobClient client;
        private int tasks = parallelism;
        private boolean wasLost;

        Job(List<G> groups, int first, boolean shared, Commits<G, F> commits) {
            this.shared = shared;
            this.commits = commits;
            for (int i = 0; i < groups.size(); i++) {
                open.put(first + i, groups.get(i));
            }
            indexes = Set.copyOf(open.keySet());
        }

        void run() {
            int failedBefore = result.failedGroups;
            for (int attempt = 0; !open.isEmpty(); attempt++) {
                attempt(attempt);
            }
            if (options.partialProgress()) {
                commits.flush();
            }
            if (result.failedGroups > failedBefore) {
                cleanUp(indexes);
            }
        }

        /** Runs one job; afterwards, the groups that another job may rewrite are still open. */
        private void attempt(int attempt) {
            client = null;
            try (CloseableIterator<byte[]> progress = submit(attempt)) {
                while (progress.hasNext()) {
                    took(Progress.fromBytes(progress.next()));
                }
                failRest("the job ended without rewriting it");
            } catch (MismatchException error) {
                cleanUp(indexes);
                throw error;
            } catch (Exception error) {
                LOG.warn("The job that rewrites table {} failed", table.name(), error);
                if (isForAnother(error)) {
                    cleanUp(open.keySet());
                } else {
                    failRest(Errors.root(error));
                }
            }
        }

        /** Whether another job may succeed, and if so, with how many tasks. */
        private boolean isForAnother(Exception error) {
            if (tasks > 1 && isIn(error, NoResourceAvailableException.class)) {
                LOG.warn("There are fewer than {} free slots: continuing with one task", tasks);
                tasks = 1;
                return true;
            }
            boolean again = !wasLost && isLost(error);
            wasLost = true;
            return again;
        }

        /**
         * Whether the job failed for a reason other than its groups, which report errors one by
         * one.
         */
        private boolean isLost(Exception error) {
            return client != null
                    && !isIn(error, JobCancellationException.class)
                    && !isIn(error, Error.class);
        }

        private boolean isIn(Exception error, Class<? extends Throwable> type) {
            return ExceptionUtils.findSerializedThrowable(error, type, getClass().getClassLoader())
                    .isPresent();
        }

        private void failRest(String reason) {
            open.values().forEach(group -> result.failed(reason));
            open.clear();
        }

        private CloseableIterator<byte[]> submit(int attempt) throws Exception {
            StreamExecutionEnvironment environment = cluster.get();
            // So that finished groups are reported and committed while others are running.
            environment.setRuntimeMode(RuntimeExecutionMode.STREAMING);
            open.keySet().forEach(index -> written.put(index, new ArrayList<>()));
            CloseableIterator<byte[]> progress =
                    kind.job(environment, new JobPlan(job, tasks, shared, attempt), open)
                            .collectAsync();
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
                                    + " changed during the rewrite ("
                                    + done.before()
                                    + " before, "
                                    + done.after()
                                    + " after). Nothing of this group was committed. Next: check"
                                    + " the files that were read and written");
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
                LOG.debug("The job that rewrites table {} has ended", table.name(), ended);
            } catch (TimeoutException late) {
                LOG.warn(
                        "The job that rewrites table {} does not end; it may leave files behind",
                        table.name());
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }

        /**
         * Called after the job has ended: before that, a cancelled task may still finish a file.
         */
        private void cleanUp(Set<Integer> groups) {
            awaitEnd();
            Set<Integer> left = new HashSet<>(groups);
            left.removeAll(commits.kept());
            Leftovers.delete(table, runId, left);
        }
    }

    /** The written rows differ from those read. */
    private static class MismatchException extends IllegalStateException {
        private static final long serialVersionUID = 1L;

        MismatchException(String message) {
            super(message);
        }
    }
}
