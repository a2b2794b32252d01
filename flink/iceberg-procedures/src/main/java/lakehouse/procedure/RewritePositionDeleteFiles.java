package lakehouse.procedure;

import lakehouse.rewrite.DeletesRewrite;
import lakehouse.rewrite.RewriteOptions;
import lakehouse.rewrite.RewriteResult;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Table;

/**
 * {@code CALL system.rewrite_position_delete_files(...)}: replaces many position delete files by a
 * few, without dangling deletes.
 */
public class RewritePositionDeleteFiles implements Procedure {
    private final MaintenanceCatalog catalog;

    public RewritePositionDeleteFiles(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(name = "where", type = @DataTypeHint("STRING"), isOptional = true),
                @ArgumentHint(name = "options", type = @DataTypeHint("STRING"), isOptional = true)
            },
            output =
                    @DataTypeHint(
                            "ROW<rewritten_delete_files_count BIGINT, added_delete_files_count"
                                    + " BIGINT, rewritten_bytes_count BIGINT, added_bytes_count"
                                    + " BIGINT, `groups` INT, failed_groups INT, conflicts INT,"
                                    + " seconds DOUBLE, reasons STRING>"))
    public Row[] call(ProcedureContext context, String table, String where, String options) {
        long started = System.nanoTime();
        Table loaded = catalog.load(table);
        RewriteResult done =
                new DeletesRewrite(
                                loaded,
                                catalog.identifier(table).toString(),
                                where,
                                RewriteOptions.ofDeleteFiles(Arguments.pairs("options", options)),
                                Session.configuration(context),
                                Session.batch(context, catalog.executionTarget()))
                        .run();
        return new Row[] {
            Row.of(
                    done.rewrittenFiles,
                    done.addedFiles,
                    done.rewrittenBytes,
                    done.addedBytes,
                    done.groups,
                    done.failedGroups,
                    done.conflicts,
                    Seconds.since(started),
                    done.reasons.isEmpty() ? null : String.join("; ", done.reasons))
        };
    }
}
