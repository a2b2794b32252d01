package lakehouse.procedure;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.util.SnapshotUtil;

/**
 * {@code CALL system.ancestors_of(table)}: a snapshot and its unexpired ancestors, newest first.
 */
public class AncestorsOf implements Procedure {
    private final MaintenanceCatalog catalog;

    public AncestorsOf(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(
                        name = "snapshot_id",
                        type = @DataTypeHint("BIGINT"),
                        isOptional = true)
            },
            output = @DataTypeHint("ROW<snapshot_id BIGINT, `timestamp` BIGINT>"))
    public Row[] call(ProcedureContext context, String table, Long snapshotId) {
        Table loaded = catalog.load(table);
        List<Row> ancestors = new ArrayList<>();
        for (Snapshot snapshot :
                SnapshotUtil.ancestorsOf(
                        Snapshots.orCurrent(loaded, snapshotId), loaded::snapshot)) {
            ancestors.add(Row.of(snapshot.snapshotId(), snapshot.timestampMillis()));
        }
        return ancestors.toArray(Row[]::new);
    }
}
