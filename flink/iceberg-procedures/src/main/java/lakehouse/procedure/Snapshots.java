package lakehouse.procedure;

import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import lakehouse.protection.Protection;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.types.Row;
import org.apache.iceberg.ManageSnapshots;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotRef;
import org.apache.iceberg.Table;

/** Looks up and changes the snapshot of a table, a branch or a tag. */
final class Snapshots {
    private Snapshots() {}

    /** Commits the change; if Iceberg rejects it, this is reported as the caller's mistake. */
    static void commit(Table table, UnaryOperator<ManageSnapshots> change) {
        try {
            change.apply(table.manageSnapshots()).commit();
        } catch (IllegalArgumentException
                | org.apache.iceberg.exceptions.ValidationException error) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + ": "
                            + error.getMessage()
                            + ". Its snapshots are in the metadata table <table>$snapshots, its"
                            + " branches and tags in <table>$refs",
                    error);
        }
        table.refresh();
    }

    /**
     * Moves the main branch, and returns its previous and its current snapshot.
     *
     * @throws ValidationException if a job uses the table, unless jobs are ignored
     */
    static Row[] moveMain(
            MaintenanceCatalog catalog,
            ProcedureContext context,
            String name,
            Boolean ignoreJobs,
            UnaryOperator<ManageSnapshots> change) {
        Table table = catalog.load(name);
        Protection protection = catalog.protection(name, Session.configuration(context));
        Set<String> users = new LinkedHashSet<>(protection.runningJobs());
        users.addAll(protection.restorableJobs());
        users.addAll(protection.unknown());
        if (!Arguments.or(ignoreJobs, false) && !users.isEmpty()) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " is in use: "
                            + String.join("; ", users)
                            + ". A writer would commit again what it has written, and a reader"
                            + " would lose its position. Next: stop the job and remove its saved"
                            + " states, or continue anyway: ignore_jobs => true");
        }
        Long before = current(table);
        commit(table, change);
        return new Row[] {Row.of(before, current(table))};
    }

    /** The ID of the main branch's snapshot; null if the table is empty. */
    static Long current(Table table) {
        Snapshot current = table.currentSnapshot();
        return current == null ? null : current.snapshotId();
    }

    /** The given snapshot, or else the current one. */
    static long orCurrent(Table table, Long snapshotId) {
        if (snapshotId == null && table.currentSnapshot() == null) {
            throw new ValidationException(
                    "Table " + table.name() + " has no snapshot yet; write to it first");
        }
        return snapshotId == null ? current(table) : existing(table, snapshotId);
    }

    static long existing(Table table, long snapshotId) {
        if (table.snapshot(snapshotId) == null) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has no snapshot "
                            + snapshotId
                            + "; its snapshots are listed in the metadata table <table>$snapshots");
        }
        return snapshotId;
    }

    /** The snapshot of a branch or tag. */
    static long of(Table table, String reference) {
        SnapshotRef found = table.refs().get(reference);
        if (found == null) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has no branch or tag '"
                            + reference
                            + "'; it has "
                            + table.refs().keySet().stream().sorted().toList());
        }
        return found.snapshotId();
    }

    /**
     * Rejects a name that is not a branch of the table; null means the main branch, which even an
     * empty table has.
     */
    static void branch(Table table, String name) {
        if (name == null || name.equals(SnapshotRef.MAIN_BRANCH)) {
            return;
        }
        SnapshotRef found = table.refs().get(name);
        if (found != null && found.isBranch()) {
            return;
        }
        throw new ValidationException(
                "Table "
                        + table.name()
                        + " has no branch '"
                        + name
                        + "'; it has "
                        + table.refs().entrySet().stream()
                                .filter(reference -> reference.getValue().isBranch())
                                .map(Map.Entry::getKey)
                                .sorted()
                                .toList());
    }
}
