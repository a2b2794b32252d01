package lakehouse.procedure;

import java.time.Instant;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import lakehouse.table.History;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotSummary;
import org.apache.iceberg.Table;

/** Procedures that change the current snapshot of a table. */
public final class CurrentSnapshot {
    private static final String MOVED =
            "ROW<previous_snapshot_id BIGINT, current_snapshot_id BIGINT>";
    private static final String PICKED =
            "ROW<source_snapshot_id BIGINT, current_snapshot_id BIGINT>";

    private CurrentSnapshot() {}

    /** {@code CALL system.rollback_to_snapshot(table, snapshot_id)}: back to an ancestor. */
    public static class RollbackToSnapshot implements Procedure {
        private final MaintenanceCatalog catalog;

        public RollbackToSnapshot(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "snapshot_id", type = @DataTypeHint("BIGINT")),
                    @ArgumentHint(
                            name = "ignore_jobs",
                            type = @DataTypeHint("BOOLEAN"),
                            isOptional = true)
                },
                output = @DataTypeHint(MOVED))
        public Row[] call(
                ProcedureContext context, String table, Long snapshotId, Boolean ignoreJobs) {
            long target = Arguments.given("snapshot_id", snapshotId);
            return Snapshots.moveMain(
                    catalog, context, table, ignoreJobs, change -> change.rollbackTo(target));
        }
    }

    /**
     * {@code CALL system.rollback_to_timestamp(table, timestamp)}: back to the snapshot that was
     * current then.
     */
    public static class RollbackToTimestamp implements Procedure {
        private final MaintenanceCatalog catalog;

        public RollbackToTimestamp(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "timestamp", type = @DataTypeHint("TIMESTAMP(6)")),
                    @ArgumentHint(
                            name = "ignore_jobs",
                            type = @DataTypeHint("BOOLEAN"),
                            isOptional = true)
                },
                output = @DataTypeHint(MOVED))
        public Row[] call(
                ProcedureContext context,
                String table,
                LocalDateTime timestamp,
                Boolean ignoreJobs) {
            Instant time = Session.instant(context, Arguments.given("timestamp", timestamp));
            long target = History.asOf(catalog.load(table), time);
            return Snapshots.moveMain(
                    catalog, context, table, ignoreJobs, change -> change.rollbackTo(target));
        }
    }

    /**
     * {@code CALL system.set_current_snapshot(table, snapshot_id | ref)}: to any snapshot of the
     * table.
     */
    public static class SetCurrentSnapshot implements Procedure {
        private final MaintenanceCatalog catalog;

        public SetCurrentSnapshot(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(
                            name = "snapshot_id",
                            type = @DataTypeHint("BIGINT"),
                            isOptional = true),
                    @ArgumentHint(name = "ref", type = @DataTypeHint("STRING"), isOptional = true),
                    @ArgumentHint(
                            name = "ignore_jobs",
                            type = @DataTypeHint("BOOLEAN"),
                            isOptional = true)
                },
                output = @DataTypeHint(MOVED))
        public Row[] call(
                ProcedureContext context,
                String table,
                Long snapshotId,
                String ref,
                Boolean ignoreJobs) {
            if ((snapshotId == null) == (ref == null)) {
                throw new ValidationException("Set either snapshot_id => or ref =>");
            }
            Table loaded = catalog.load(table);
            long target =
                    ref == null
                            ? Snapshots.existing(loaded, snapshotId)
                            : Snapshots.of(loaded, ref);
            return Snapshots.moveMain(
                    catalog,
                    context,
                    table,
                    ignoreJobs,
                    change -> change.setCurrentSnapshot(target));
        }
    }

    /**
     * {@code CALL system.cherrypick_snapshot(table, snapshot_id)}: applies the changes of a staged
     * or rolled-back snapshot as a new one.
     */
    public static class CherrypickSnapshot implements Procedure {
        private final MaintenanceCatalog catalog;

        public CherrypickSnapshot(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "snapshot_id", type = @DataTypeHint("BIGINT"))
                },
                output = @DataTypeHint(PICKED))
        public Row[] call(ProcedureContext context, String table, Long snapshotId) {
            Table loaded = catalog.load(table);
            return pick(loaded, Arguments.given("snapshot_id", snapshotId));
        }
    }

    /** {@code CALL system.publish_changes(table, wap_id)}: the snapshot staged with this ID. */
    public static class PublishChanges implements Procedure {
        private final MaintenanceCatalog catalog;

        public PublishChanges(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "wap_id", type = @DataTypeHint("STRING"))
                },
                output = @DataTypeHint(PICKED))
        public Row[] call(ProcedureContext context, String table, String wapId) {
            Table loaded = catalog.load(table);
            Arguments.given("wap_id", wapId);
            List<Long> staged = new ArrayList<>();
            for (Snapshot snapshot : loaded.snapshots()) {
                if (wapId.equals(snapshot.summary().get(SnapshotSummary.STAGED_WAP_ID_PROP))) {
                    staged.add(snapshot.snapshotId());
                }
            }
            if (staged.size() != 1) {
                throw new ValidationException(
                        "Table "
                                + loaded.name()
                                + " has "
                                + (staged.isEmpty()
                                        ? "no snapshot"
                                        : "several snapshots, " + staged + ",")
                                + " staged with wap_id => '"
                                + wapId
                                + "'; use cherrypick_snapshot to choose one by its ID");
            }
            return pick(loaded, staged.get(0));
        }
    }

    private static Row[] pick(Table table, long snapshotId) {
        Snapshots.existing(table, snapshotId);
        Snapshots.commit(table, change -> change.cherrypick(snapshotId));
        return new Row[] {Row.of(snapshotId, Snapshots.current(table))};
    }
}
