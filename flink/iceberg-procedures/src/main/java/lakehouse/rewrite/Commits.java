package lakehouse.rewrite;

import java.util.Collection;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.iceberg.ContentFile;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteGroupBase;
import org.apache.iceberg.exceptions.CleanableFailure;
import org.apache.iceberg.exceptions.ValidationException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Commits the files written for groups, in a limited number of commits per run: each commit is a
 * snapshot that every reader has to pass and that must expire later.
 */
class Commits<G extends RewriteGroupBase<?, ?, F>, F extends ContentFile<F>> {
    private static final Logger LOG = LoggerFactory.getLogger(Commits.class);

    private static final String RUN = "maintenance.run";
    private static final String GROUPS = "maintenance.groups";

    private record Written<G>(G group, long rows) {}

    private final Table table;
    private final String runId;
    private final RewriteOptions options;
    private final GroupKind<G, F> kind;
    private final int groupsPerCommit;
    private final RewriteResult result;
    private final Map<Integer, Written<G>> pending = new TreeMap<>();
    private final Set<Integer> kept = new HashSet<>();

    /**
     * @param groups number of groups in the whole run
     */
    Commits(
            Table table,
            String runId,
            int groups,
            RewriteOptions options,
            GroupKind<G, F> kind,
            RewriteResult result) {
        this.table = table;
        this.runId = runId;
        this.options = options;
        this.kind = kind;
        int most = options.maxCommits();
        this.groupsPerCommit =
                options.partialProgress() ? (groups + most - 1) / most : Integer.MAX_VALUE;
        this.result = result;
    }

    /** Adds a written group. It is committed with others, or by the next {@link #flush()}. */
    void add(int index, G group, long rows) {
        pending.put(index, new Written<>(group, rows));
        if (pending.size() >= groupsPerCommit) {
            flush();
        }
    }

    /** Commits the pending groups; a conflict only costs the group that has it. */
    void flush() {
        Map<Integer, Written<G>> batch = new TreeMap<>(pending);
        pending.clear();
        if (batch.isEmpty() || commit(batch)) {
            return;
        }
        batch.forEach((index, written) -> commit(Map.of(index, written)));
    }

    /**
     * Groups whose files must be kept: committed ones, and those whose commit may have succeeded.
     */
    Set<Integer> kept() {
        return kept;
    }

    /**
     * @return false if nothing was changed, and smaller commits may succeed
     */
    private boolean commit(Map<Integer, Written<G>> batch) {
        String indexes =
                batch.keySet().stream().map(String::valueOf).collect(Collectors.joining(","));
        kept.addAll(batch.keySet());
        try {
            kind.commit(
                    batch.values().stream().map(Written::group).toList(),
                    Map.of(RUN, runId, GROUPS, indexes));
            replaced(batch.values());
        } catch (RuntimeException error) {
            LOG.warn("Groups {} of {} could not be committed", indexes, table.name(), error);
            if (error instanceof CleanableFailure) {
                kept.removeAll(batch.keySet());
                if (batch.size() > 1 && options.partialProgress()) {
                    return false;
                }
                if (error instanceof ValidationException) {
                    result.conflicts += batch.size();
                }
                batch.values().forEach(written -> result.failed(error.getMessage()));
            } else if (landed(indexes)) {
                replaced(batch.values());
            } else {
                String reason =
                        "the outcome of a commit is unknown ("
                                + error.getMessage()
                                + "); its files were kept; if it failed, remove_orphan_files"
                                + " removes them";
                batch.values().forEach(written -> result.failed(reason));
            }
        }
        return true;
    }

    private void replaced(Collection<Written<G>> groups) {
        groups.forEach(
                written ->
                        result.replaced(
                                written.group(), kind.added(written.group()), written.rows()));
    }

    /** Whether a commit is in the table, whatever its outcome appeared to be. */
    private boolean landed(String indexes) {
        try {
            table.refresh();
        } catch (RuntimeException error) {
            LOG.warn("Table {} cannot be loaded after a commit", table.name(), error);
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
