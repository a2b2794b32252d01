package lakehouse.procedure;

import java.time.Instant;
import lakehouse.protection.Protection;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;

/**
 * {@code CALL system.protected_snapshots(table)}: the snapshots that expiry must keep, newest
 * first, and for whom.
 */
public class ProtectedSnapshots implements Procedure {
    private final MaintenanceCatalog catalog;

    public ProtectedSnapshots(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(
                        name = "ignore_unknown_positions",
                        type = @DataTypeHint("BOOLEAN"),
                        isOptional = true)
            },
            output =
                    @DataTypeHint(
                            "ROW<snapshot_id BIGINT, committed_at TIMESTAMP_LTZ(3), protected_by"
                                    + " STRING>"))
    public Row[] call(ProcedureContext context, String table, Boolean ignoreUnknownPositions) {
        Protection protection = catalog.protection(table, Session.configuration(context));
        Arguments.knownOrIgnored(protection, ignoreUnknownPositions);
        return protection.protectors().entrySet().stream()
                .map(
                        entry ->
                                Row.of(
                                        entry.getKey().snapshotId(),
                                        Instant.ofEpochMilli(entry.getKey().timestampMillis()),
                                        String.join("; ", entry.getValue())))
                .toArray(Row[]::new);
    }
}
