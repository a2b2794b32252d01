package lakehouse.procedure;

import java.util.List;
import java.util.Map;
import lakehouse.rewrite.Rewrite;
import lakehouse.rewrite.RewriteOptions;
import lakehouse.rewrite.RewriteRequest;
import lakehouse.rewrite.RewriteResult;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Table;

/**
 * {@code CALL system.rewrite_data_files(...)}: replaces many small files by a few large ones,
 * optionally sorted.
 */
public class RewriteDataFiles implements Procedure {
    private static final List<String> STRATEGIES = List.of("binpack", "sort");

    private final MaintenanceCatalog catalog;

    public RewriteDataFiles(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(name = "strategy", type = @DataTypeHint("STRING"), isOptional = true),
                @ArgumentHint(
                        name = "sort_order",
                        type = @DataTypeHint("STRING"),
                        isOptional = true),
                @ArgumentHint(name = "where", type = @DataTypeHint("STRING"), isOptional = true),
                @ArgumentHint(
                        name = "target_file_size_bytes",
                        type = @DataTypeHint("BIGINT"),
                        isOptional = true),
                @ArgumentHint(
                        name = "min_input_files",
                        type = @DataTypeHint("INT"),
                        isOptional = true),
                @ArgumentHint(
                        name = "max_rewrite_bytes",
                        type = @DataTypeHint("BIGINT"),
                        isOptional = true),
                @ArgumentHint(name = "dry_run", type = @DataTypeHint("BOOLEAN"), isOptional = true),
                @ArgumentHint(name = "verify", type = @DataTypeHint("BOOLEAN"), isOptional = true),
                @ArgumentHint(
                        name = "rewrite_all",
                        type = @DataTypeHint("BOOLEAN"),
                        isOptional = true),
                @ArgumentHint(
                        name = "delete_file_threshold",
                        type = @DataTypeHint("INT"),
                        isOptional = true),
                @ArgumentHint(name = "options", type = @DataTypeHint("STRING"), isOptional = true),
                @ArgumentHint(name = "branch", type = @DataTypeHint("STRING"), isOptional = true)
            },
            output =
                    @DataTypeHint(
                            "ROW<rewritten_data_files_count BIGINT, added_data_files_count BIGINT,"
                                    + " rewritten_bytes_count BIGINT, added_bytes_count BIGINT,"
                                    + " rewritten_rows BIGINT, `groups` INT, failed_groups INT,"
                                    + " conflicts INT, dry_run BOOLEAN, seconds DOUBLE, reasons"
                                    + " STRING>"))
    public Row[] call(
            ProcedureContext context,
            String table,
            String strategy,
            String sortOrder,
            String where,
            Long targetFileSizeBytes,
            Integer minInputFiles,
            Long maxRewriteBytes,
            Boolean dryRun,
            Boolean verify,
            Boolean rewriteAll,
            Integer deleteFileThreshold,
            String options,
            String branch) {
        long started = System.nanoTime();
        String how = strategy == null ? "binpack" : strategy;
        if (!STRATEGIES.contains(how)) {
            throw new ValidationException("strategy => '" + how + "' is not one of " + STRATEGIES);
        }
        if (sortOrder != null && !how.equals("sort")) {
            throw new ValidationException(
                    "sort_order => '" + sortOrder + "' requires strategy => 'sort'");
        }
        Arguments.positive("max_rewrite_bytes", maxRewriteBytes);
        Map<String, String> all = Arguments.pairs("options", options);
        put(all, "target_file_size_bytes", targetFileSizeBytes);
        put(all, "min_input_files", minInputFiles);
        put(all, "delete_file_threshold", deleteFileThreshold);
        put(all, "rewrite_all", rewriteAll);
        Table loaded = catalog.load(table);
        Snapshots.branch(loaded, branch);
        boolean dry = Arguments.or(dryRun, false);
        RewriteRequest request =
                new RewriteRequest(
                        catalog.identifier(table).toString(),
                        branch,
                        how.equals("sort"),
                        sortOrder,
                        where,
                        maxRewriteBytes,
                        dry,
                        Arguments.or(verify, true),
                        RewriteOptions.ofDataFiles(all));
        RewriteResult done =
                new Rewrite(
                                loaded,
                                request,
                                Session.configuration(context),
                                Session.batch(context, catalog.executionTarget()))
                        .run();
        double seconds = Seconds.since(started);
        return new Row[] {
            Row.of(
                    done.rewrittenFiles,
                    done.addedFiles,
                    done.rewrittenBytes,
                    done.addedBytes,
                    done.rewrittenRows,
                    done.groups,
                    done.failedGroups,
                    done.conflicts,
                    dry,
                    seconds,
                    done.reasons.isEmpty() ? null : String.join("; ", done.reasons))
        };
    }

    /** An argument that is also an option. */
    private static void put(Map<String, String> options, String argument, Object value) {
        if (value instanceof Number number) {
            Arguments.positive(argument, number);
        }
        String option = argument.replace('_', '-');
        if (value != null && options.put(option, value.toString()) != null) {
            throw new ValidationException(
                    argument
                            + " => "
                            + value
                            + " is also set in options. Next: remove "
                            + option
                            + " there");
        }
    }
}
