package lakehouse.procedure;

import lakehouse.imports.Import;
import lakehouse.imports.ImportRequest;
import lakehouse.imports.ImportResult;
import lakehouse.protection.Protection;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;

/**
 * {@code CALL system.add_files(table, path)}: adds the Parquet files of a folder to the table
 * without copying them.
 *
 * <p>From then on the table owns them: expire_snapshots deletes them once no snapshot references
 * them, for example after a rewrite, an overwrite or a rollback, and DROP TABLE may delete them
 * too; remove_orphan_files moves them away if they are in the table's own folder. Other readers of
 * the folder then lose them. The table property {@code gc.enabled=false} prevents all of this.
 *
 * <p>The files have no field IDs, so the table gets a name mapping when the first of them are
 * added. Jobs that already read the table do not have the mapping, and would match the columns of
 * such files by position.
 */
public class AddFiles implements Procedure {
    private final MaintenanceCatalog catalog;

    public AddFiles(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(name = "path", type = @DataTypeHint("STRING")),
                @ArgumentHint(
                        name = "partition_filter",
                        type = @DataTypeHint("STRING"),
                        isOptional = true),
                @ArgumentHint(
                        name = "check_duplicate_files",
                        type = @DataTypeHint("BOOLEAN"),
                        isOptional = true),
                @ArgumentHint(name = "dry_run", type = @DataTypeHint("BOOLEAN"), isOptional = true),
                @ArgumentHint(
                        name = "ignore_jobs",
                        type = @DataTypeHint("BOOLEAN"),
                        isOptional = true)
            },
            output =
                    @DataTypeHint(
                            "ROW<added_files_count BIGINT, changed_partition_count BIGINT,"
                                    + " ignored_columns ARRAY<STRING>, dry_run BOOLEAN>"))
    public Row[] call(
            ProcedureContext context,
            String table,
            String path,
            String partitionFilter,
            Boolean checkDuplicateFiles,
            Boolean dryRun,
            Boolean ignoreJobs) {
        boolean dry = Arguments.or(dryRun, false);
        ImportRequest request =
                new ImportRequest(
                        Arguments.given("path", path),
                        Arguments.pairs("partition_filter", partitionFilter),
                        Arguments.or(checkDuplicateFiles, true),
                        dry);
        Table loaded = catalog.load(table);
        if (!loaded.properties().containsKey(TableProperties.DEFAULT_NAME_MAPPING)
                && !Arguments.or(ignoreJobs, false)) {
            refuseRead(loaded, catalog.protection(table, Session.configuration(context)));
        }
        ImportResult done = new Import(loaded, request).run();
        return new Row[] {
            Row.of(
                    done.files(),
                    done.partitions(),
                    done.ignoredColumns().toArray(String[]::new),
                    dry)
        };
    }

    private static void refuseRead(Table table, Protection protection) {
        if (!protection.runningJobs().isEmpty()) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has no name mapping yet, and is in use: "
                            + String.join("; ", protection.runningJobs())
                            + ". A job that reads it would match the columns of these files by"
                            + " position. Next: stop it, and start it again afterwards; if it only"
                            + " writes, set ignore_jobs => true");
        }
    }
}
