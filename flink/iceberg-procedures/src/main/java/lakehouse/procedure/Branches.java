package lakehouse.procedure;

import java.time.Duration;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.ManageSnapshots;
import org.apache.iceberg.SnapshotRef;
import org.apache.iceberg.Table;

/** Procedures for branches of a table. */
public final class Branches {
    private static final String BRANCH = "ROW<branch STRING, snapshot_id BIGINT>";

    private Branches() {}

    /** {@code CALL system.create_branch(table, branch)}: starts at a snapshot or tag. */
    public static class CreateBranch implements Procedure {
        private final MaintenanceCatalog catalog;

        public CreateBranch(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "branch", type = @DataTypeHint("STRING")),
                    @ArgumentHint(
                            name = "snapshot_id",
                            type = @DataTypeHint("BIGINT"),
                            isOptional = true),
                    @ArgumentHint(
                            name = "time_retained",
                            type = @DataTypeHint("STRING"),
                            isOptional = true),
                    @ArgumentHint(
                            name = "min_snapshots_to_keep",
                            type = @DataTypeHint("INT"),
                            isOptional = true),
                    @ArgumentHint(
                            name = "snapshots_retained",
                            type = @DataTypeHint("STRING"),
                            isOptional = true)
                },
                output = @DataTypeHint(BRANCH))
        public Row[] call(
                ProcedureContext context,
                String table,
                String branch,
                Long snapshotId,
                String timeRetained,
                Integer minSnapshotsToKeep,
                String snapshotsRetained) {
            Table loaded = catalog.load(table);
            Arguments.given("branch", branch);
            Arguments.positive("min_snapshots_to_keep", minSnapshotsToKeep);
            long from = Snapshots.orCurrent(loaded, snapshotId);
            Duration age = Arguments.duration("time_retained", timeRetained);
            Duration snapshotAge = Arguments.duration("snapshots_retained", snapshotsRetained);
            Snapshots.commit(
                    loaded,
                    change -> {
                        ManageSnapshots made = change.createBranch(branch, from);
                        if (age != null) {
                            made = made.setMaxRefAgeMs(branch, age.toMillis());
                        }
                        if (minSnapshotsToKeep != null) {
                            made = made.setMinSnapshotsToKeep(branch, minSnapshotsToKeep);
                        }
                        return snapshotAge == null
                                ? made
                                : made.setMaxSnapshotAgeMs(branch, snapshotAge.toMillis());
                    });
            return new Row[] {Row.of(branch, from)};
        }
    }

    /**
     * {@code CALL system.delete_branch(table, branch)}: its snapshots are removed by the next
     * expiry.
     */
    public static class DeleteBranch implements Procedure {
        private final MaintenanceCatalog catalog;

        public DeleteBranch(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "branch", type = @DataTypeHint("STRING"))
                },
                output = @DataTypeHint(BRANCH))
        public Row[] call(ProcedureContext context, String table, String branch) {
            Table loaded = catalog.load(table);
            long snapshotId = Snapshots.of(loaded, Arguments.given("branch", branch));
            Snapshots.commit(loaded, change -> change.removeBranch(branch));
            return new Row[] {Row.of(branch, snapshotId)};
        }
    }

    /** {@code CALL system.fast_forward(table, branch, to)}: to the snapshot of another branch. */
    public static class FastForward implements Procedure {
        private final MaintenanceCatalog catalog;

        public FastForward(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "branch", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "to", type = @DataTypeHint("STRING"))
                },
                output =
                        @DataTypeHint(
                                "ROW<branch_updated STRING, previous_ref BIGINT, updated_ref BIGINT>"))
        public Row[] call(ProcedureContext context, String table, String branch, String to) {
            Table loaded = catalog.load(table);
            Arguments.given("branch", branch);
            Snapshots.of(loaded, Arguments.given("to", to));
            SnapshotRef before = loaded.refs().get(branch);
            Snapshots.commit(loaded, change -> change.fastForwardBranch(branch, to));
            return new Row[] {
                Row.of(
                        branch,
                        before == null ? null : before.snapshotId(),
                        Snapshots.of(loaded, branch))
            };
        }
    }
}
