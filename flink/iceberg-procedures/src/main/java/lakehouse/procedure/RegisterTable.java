package lakehouse.procedure;

import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotSummary;
import org.apache.iceberg.Table;

/**
 * {@code CALL system.register_table(table, metadata_file)}: adds an existing table to the catalog
 * by its metadata file.
 */
public class RegisterTable implements Procedure {
    private final MaintenanceCatalog catalog;

    public RegisterTable(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(name = "metadata_file", type = @DataTypeHint("STRING"))
            },
            output =
                    @DataTypeHint(
                            "ROW<current_snapshot_id BIGINT, total_records_count BIGINT,"
                                    + " total_data_files_count BIGINT>"))
    public Row[] call(ProcedureContext context, String table, String metadataFile) {
        Table registered = catalog.register(table, Arguments.given("metadata_file", metadataFile));
        Snapshot current = registered.currentSnapshot();
        return new Row[] {
            Row.of(
                    Snapshots.current(registered),
                    total(current, SnapshotSummary.TOTAL_RECORDS_PROP),
                    total(current, SnapshotSummary.TOTAL_DATA_FILES_PROP))
        };
    }

    /** Null if the writer did not record it. */
    private static Long total(Snapshot snapshot, String name) {
        String total = snapshot == null ? "0" : snapshot.summary().get(name);
        return total == null ? null : Long.valueOf(total);
    }
}
