package lakehouse.procedure;

import lakehouse.statistics.TableStatistics;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Table;

/**
 * {@code CALL system.compute_table_stats(table)}: the numbers of distinct values in columns, for
 * engines that use them to plan joins.
 */
public class ComputeTableStats implements Procedure {
    private final MaintenanceCatalog catalog;

    public ComputeTableStats(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(
                        name = "snapshot_id",
                        type = @DataTypeHint("BIGINT"),
                        isOptional = true),
                @ArgumentHint(name = "columns", type = @DataTypeHint("STRING"), isOptional = true)
            },
            output = @DataTypeHint("ROW<statistics_file STRING>"))
    public Row[] call(ProcedureContext context, String table, Long snapshotId, String columns) {
        Table loaded = catalog.load(table);
        TableStatistics statistics =
                new TableStatistics(
                        loaded,
                        Snapshots.orCurrent(loaded, snapshotId),
                        Arguments.names("columns", columns),
                        Session.batch(context, catalog.executionTarget()));
        return new Row[] {Row.of(statistics.run())};
    }
}
