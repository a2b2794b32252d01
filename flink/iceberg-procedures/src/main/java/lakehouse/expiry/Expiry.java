package lakehouse.expiry;

import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import lakehouse.expiry.ExpiredFiles.Kind;
import lakehouse.protection.Protection;
import lakehouse.table.References;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.ExpireSnapshots;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotRef;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.exceptions.CommitStateUnknownException;
import org.apache.iceberg.util.PropertyUtil;
import org.apache.iceberg.util.SnapshotUtil;

/**
 * Expires the snapshots of a table that are old enough and not needed, and deletes the files that
 * only they reference.
 */
public class Expiry {
    /**
     * Number of snapshots and files that were removed, or would be in a dry run.
     *
     * @param failed files that could not be deleted
     */
    public record Result(
            long dataFiles,
            long manifests,
            long manifestLists,
            long statistics,
            long bytes,
            long failed,
            long expired,
            long kept,
            List<String> references) {}

    private final Table table;
    private final References references;
    private final Protection protection;
    private final Long olderThan;
    private final Integer retainLast;
    private final long now = System.currentTimeMillis();
    private final Set<Long> kept = new HashSet<>();
    private final List<Snapshot> expired = new ArrayList<>();

    /**
     * @param olderThan null for the age in the table's properties; likewise {@code retainLast} for
     *     the number of snapshots
     * @param named snapshots to expire at any age; each must be one that nobody needs
     */
    public Expiry(
            Table table,
            Protection protection,
            Instant olderThan,
            Integer retainLast,
            Set<Long> named) {
        this.table = table;
        references = References.of(table);
        this.protection = protection;
        this.olderThan = olderThan == null ? null : olderThan.toEpochMilli();
        this.retainLast = retainLast;
        plan(named);
    }

    private void plan(Set<Long> named) {
        Set<Long> inBranches = new HashSet<>();
        for (SnapshotRef ref : references.kept().values()) {
            kept.add(ref.snapshotId());
            if (ref.isBranch()) {
                List<Snapshot> branch = new ArrayList<>();
                SnapshotUtil.ancestorsOf(ref.snapshotId(), table::snapshot).forEach(branch::add);
                branch.forEach(snapshot -> inBranches.add(snapshot.snapshotId()));
                int keep = count(ref);
                // No gaps among the snapshots kept for their age, even if committers' clocks
                // differed.
                for (int i = 0; i < branch.size(); i++) {
                    if (branch.get(i).timestampMillis() >= age(ref.maxSnapshotAgeMs())) {
                        keep = Math.max(keep, i + 1);
                    }
                }
                branch.stream().limit(keep).forEach(snapshot -> kept.add(snapshot.snapshotId()));
            }
        }
        for (Snapshot snapshot : table.snapshots()) {
            long id = snapshot.snapshotId();
            if (named.contains(id)) {
                refuseNeeded(id);
                kept.remove(id);
                expired.add(snapshot);
                continue;
            }
            boolean young = !inBranches.contains(id) && snapshot.timestampMillis() >= age(null);
            if (young || protection.isProtected(id)) {
                kept.add(id);
            }
            if (!kept.contains(id)) {
                expired.add(snapshot);
            }
        }
    }

    private void refuseNeeded(long id) {
        Set<String> by = new LinkedHashSet<>(protection.needing(id));
        references
                .kept()
                .forEach(
                        (name, ref) -> {
                            if (ref.snapshotId() == id) {
                                by.add((ref.isBranch() ? "branch " : "tag ") + name);
                            }
                        });
        if (!by.isEmpty()) {
            throw new ValidationException(
                    "Snapshot "
                            + id
                            + " of table "
                            + table.name()
                            + " cannot expire: it is needed by "
                            + String.join("; ", by));
        }
    }

    private long age(Long ofBranch) {
        if (ofBranch != null) {
            return now - ofBranch;
        }
        return olderThan != null
                ? olderThan
                : now
                        - PropertyUtil.propertyAsLong(
                                table.properties(),
                                TableProperties.MAX_SNAPSHOT_AGE_MS,
                                TableProperties.MAX_SNAPSHOT_AGE_MS_DEFAULT);
    }

    private int count(SnapshotRef branch) {
        if (branch.minSnapshotsToKeep() != null) {
            return branch.minSnapshotsToKeep();
        }
        return retainLast != null
                ? retainLast
                : PropertyUtil.propertyAsInt(
                        table.properties(),
                        TableProperties.MIN_SNAPSHOTS_TO_KEEP,
                        TableProperties.MIN_SNAPSHOTS_TO_KEEP_DEFAULT);
    }

    /**
     * @param metadata whether to remove schemas and partition specs that no snapshot uses, too
     */
    public Result run(boolean metadata) {
        if (expired.isEmpty() && references.expired().isEmpty()) {
            return new Result(0, 0, 0, 0, 0, 0, 0, kept.size(), List.of());
        }
        ExpiredFiles files = new ExpiredFiles(table, expired);
        try {
            // Expires by ID, with an age that no snapshot has reached and, for branches with a
            // max-snapshot-age-ms, a count that no branch reaches. Without these, Iceberg would
            // also expire every snapshot older than five days.
            ExpireSnapshots expiry =
                    table.expireSnapshots()
                            .expireOlderThan(0)
                            .retainLast(Integer.MAX_VALUE)
                            .cleanExpiredMetadata(metadata)
                            .cleanExpiredFiles(false);
            expired.forEach(snapshot -> expiry.expireSnapshotId(snapshot.snapshotId()));
            refuseMore(expiry.apply());
            expiry.commit();
        } catch (CommitStateUnknownException error) {
            throw new IllegalStateException(
                    "Whether the expiry of table "
                            + table.name()
                            + " was committed is unknown ("
                            + error.getMessage()
                            + "). No file was deleted. Call again; if it was, remove_orphan_files"
                            + " takes what is left",
                    error);
        }
        Deletion deletion = new Deletion(table);
        try (deletion) {
            files.forEach(deletion);
        } catch (RuntimeException error) {
            throw new IllegalStateException(
                    "Snapshots of table "
                            + table.name()
                            + " are gone, but not all files that only they held, because a file that"
                            + " lists them cannot be read: "
                            + error.getMessage()
                            + ". Next: remove_orphan_files takes what is left",
                    error);
        }
        if (deletion.failed() > 0 && deletion.deleted().all() == 0) {
            throw new IllegalStateException(
                    "None of the "
                            + deletion.failed()
                            + " files that only expired snapshots of table "
                            + table.name()
                            + " held could be deleted; the snapshots are gone. Next: let the"
                            + " catalog's key delete below "
                            + table.location()
                            + ", then remove_orphan_files takes the files");
        }
        return result(deletion.deleted(), deletion.failed());
    }

    private Result result(FileCounts files, long failed) {
        return new Result(
                files.of(Kind.DATA),
                files.of(Kind.MANIFEST),
                files.of(Kind.MANIFEST_LIST),
                files.of(Kind.STATISTICS),
                files.bytes(),
                failed,
                expired.size(),
                kept.size(),
                references.expired());
    }

    /**
     * A branch with both an age and a count of its own makes Iceberg expire snapshots that were not
     * named.
     */
    private void refuseMore(List<Snapshot> all) {
        List<Long> more = all.stream().map(Snapshot::snapshotId).filter(kept::contains).toList();
        if (!more.isEmpty()) {
            throw new ValidationException(
                    "Expiry of table "
                            + table.name()
                            + " would take snapshots "
                            + more
                            + ", which must be kept, because a branch has a max-snapshot-age-ms and"
                            + " a min-snapshots-to-keep of its own; raise one of them");
        }
    }

    /** Counts the files that {@link #run} would delete. */
    public Result dryRun() {
        FileCounts counts = new FileCounts();
        new ExpiredFiles(table, expired).forEach(counts);
        return result(counts, 0);
    }
}
