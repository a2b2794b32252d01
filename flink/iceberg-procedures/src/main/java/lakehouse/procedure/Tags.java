package lakehouse.procedure;

import java.time.Duration;
import java.time.Instant;
import java.time.LocalDateTime;
import lakehouse.table.History;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.ManageSnapshots;
import org.apache.iceberg.Table;

/** Procedures for tags of a table. */
public final class Tags {
    private static final String TAG = "ROW<tag STRING, snapshot_id BIGINT>";

    private Tags() {}

    /** {@code CALL system.create_tag(table, tag)}: names a snapshot, which expiry then keeps. */
    public static class CreateTag implements Procedure {
        private final MaintenanceCatalog catalog;

        public CreateTag(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "tag", type = @DataTypeHint("STRING")),
                    @ArgumentHint(
                            name = "snapshot_id",
                            type = @DataTypeHint("BIGINT"),
                            isOptional = true),
                    @ArgumentHint(
                            name = "time_retained",
                            type = @DataTypeHint("STRING"),
                            isOptional = true)
                },
                output = @DataTypeHint(TAG))
        public Row[] call(
                ProcedureContext context,
                String table,
                String tag,
                Long snapshotId,
                String timeRetained) {
            Table loaded = catalog.load(table);
            return create(loaded, tag, Snapshots.orCurrent(loaded, snapshotId), timeRetained);
        }
    }

    /** {@code CALL system.create_tag_from_timestamp(table, tag, timestamp)}. */
    public static class CreateTagFromTimestamp implements Procedure {
        private final MaintenanceCatalog catalog;

        public CreateTagFromTimestamp(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "tag", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "timestamp", type = @DataTypeHint("TIMESTAMP(6)")),
                    @ArgumentHint(
                            name = "time_retained",
                            type = @DataTypeHint("STRING"),
                            isOptional = true)
                },
                output = @DataTypeHint(TAG))
        public Row[] call(
                ProcedureContext context,
                String table,
                String tag,
                LocalDateTime timestamp,
                String timeRetained) {
            Table loaded = catalog.load(table);
            Instant time = Session.instant(context, Arguments.given("timestamp", timestamp));
            return create(loaded, tag, History.asOf(loaded, time), timeRetained);
        }
    }

    /** {@code CALL system.delete_tag(table, tag)}. */
    public static class DeleteTag implements Procedure {
        private final MaintenanceCatalog catalog;

        public DeleteTag(MaintenanceCatalog catalog) {
            this.catalog = catalog;
        }

        @ProcedureHint(
                argument = {
                    @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                    @ArgumentHint(name = "tag", type = @DataTypeHint("STRING"))
                },
                output = @DataTypeHint(TAG))
        public Row[] call(ProcedureContext context, String table, String tag) {
            Table loaded = catalog.load(table);
            long snapshotId = Snapshots.of(loaded, Arguments.given("tag", tag));
            Snapshots.commit(loaded, change -> change.removeTag(tag));
            return new Row[] {Row.of(tag, snapshotId)};
        }
    }

    private static Row[] create(Table table, String tag, long snapshotId, String timeRetained) {
        Arguments.given("tag", tag);
        Duration age = Arguments.duration("time_retained", timeRetained);
        Snapshots.commit(
                table,
                change -> {
                    ManageSnapshots made = change.createTag(tag, snapshotId);
                    return age == null ? made : made.setMaxRefAgeMs(tag, age.toMillis());
                });
        return new Row[] {Row.of(tag, snapshotId)};
    }
}
