package lakehouse.rewrite;

import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteDataFilesCommitManager;
import org.apache.iceberg.actions.RewriteFileGroup;
import org.apache.iceberg.exceptions.CleanableFailure;
import org.apache.iceberg.exceptions.ValidationException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Collection;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Replaces the files of groups by what was written, at most so many times in a run: each commit is
 * a snapshot that every reader passes and expiry has to take away again.
 */
class Commits {
    private static final Logger LOG = LoggerFactory.getLogger(Commits.class);

    /** What Spark's procedure calls partial-progress.max-commits, and its default. */
    private static final int MOST = 10;

    private static final String RUN = "maintenance.run";
    private static final String GROUPS = "maintenance.groups";

    private record Written(RewriteFileGroup group, long rows) {}

    private final Table table;
    private final long startSnapshot;
    private final String runId;
    private final int groupsPerCommit;
    private final RewriteResult result;
    private final Map<Integer, Written> pending = new TreeMap<>();
    private final Set<Integer> kept = new HashSet<>();

    /**
     * @param groups of the whole run
     */
    Commits(Table table, long startSnapshot, String runId, int groups, RewriteResult result) {
        this.table = table;
        this.startSnapshot = startSnapshot;
        this.runId = runId;
        this.groupsPerCommit = (groups + MOST - 1) / MOST;
        this.result = result;
    }

    /** A group is written. It is committed with others, or by the next {@link #flush()}. */
    void add(int index, RewriteFileGroup group, long rows) {
        pending.put(index, new Written(group, rows));
        if (pending.size() >= groupsPerCommit) {
            flush();
        }
    }

    /** Commit what waits; a conflict costs its own group and no other. */
    void flush() {
        Map<Integer, Written> batch = new TreeMap<>(pending);
        pending.clear();
        if (batch.isEmpty() || commit(batch)) {
            return;
        }
        batch.forEach((index, written) -> commit(Map.of(index, written)));
    }

    /** Groups whose files must stay: those committed, and those whose commit may have landed. */
    Set<Integer> kept() {
        return kept;
    }

    /**
     * @return false when nothing was changed, and smaller commits may succeed
     */
    private boolean commit(Map<Integer, Written> batch) {
        String indexes =
                batch.keySet().stream().map(String::valueOf).collect(Collectors.joining(","));
        kept.addAll(batch.keySet());
        try {
            new RewriteDataFilesCommitManager(
                            table, startSnapshot, true, Map.of(RUN, runId, GROUPS, indexes))
                    .commitFileGroups(
                            batch.values().stream().map(Written::group).collect(Collectors.toSet()));
            replaced(batch.values());
        } catch (RuntimeException error) {
            LOG.warn("Groups {} of {} could not be committed", indexes, table.name(), error);
            if (error instanceof CleanableFailure) {
                kept.removeAll(batch.keySet());
                if (batch.size() > 1) {
                    return false;
                }
                if (error instanceof ValidationException) {
                    result.conflicts++;
                }
                result.failed(error.getMessage());
            } else if (landed(indexes)) {
                replaced(batch.values());
            } else {
                String reason =
                        "the outcome of a commit is unknown ("
                                + error.getMessage()
                                + "); its files were kept, and remove_orphan_files takes them if it"
                                + " never landed";
                batch.values().forEach(written -> result.failed(reason));
            }
        }
        return true;
    }

    private void replaced(Collection<Written> groups) {
        groups.forEach(written -> result.replaced(written.group(), written.rows()));
    }

    /** Whether a commit is in the table, whatever its caller was told. */
    private boolean landed(String indexes) {
        try {
            table.refresh();
        } catch (RuntimeException error) {
            LOG.warn("Table {} cannot be looked at after a commit", table.name(), error);
            return false;
        }
        for (Snapshot snapshot : table.snapshots()) {
            Map<String, String> summary = snapshot.summary();
            if (runId.equals(summary.get(RUN)) && indexes.equals(summary.get(GROUPS))) {
                return true;
            }
        }
        return false;
    }
}
