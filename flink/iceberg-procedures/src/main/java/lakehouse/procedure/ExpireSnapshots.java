package lakehouse.procedure;

import java.time.LocalDateTime;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import lakehouse.expiry.Expiry;
import lakehouse.protection.Protection;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Table;

/**
 * {@code CALL system.expire_snapshots(...)}: removes old snapshots that nobody needs, and the files
 * that only they reference.
 */
public class ExpireSnapshots implements Procedure {
    private final MaintenanceCatalog catalog;

    public ExpireSnapshots(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(
                        name = "older_than",
                        type = @DataTypeHint("TIMESTAMP(6)"),
                        isOptional = true),
                @ArgumentHint(name = "retain_last", type = @DataTypeHint("INT"), isOptional = true),
                @ArgumentHint(
                        name = "ignore_unknown_positions",
                        type = @DataTypeHint("BOOLEAN"),
                        isOptional = true),
                @ArgumentHint(name = "dry_run", type = @DataTypeHint("BOOLEAN"), isOptional = true),
                @ArgumentHint(
                        name = "snapshot_ids",
                        type = @DataTypeHint("STRING"),
                        isOptional = true),
                @ArgumentHint(
                        name = "clean_expired_metadata",
                        type = @DataTypeHint("BOOLEAN"),
                        isOptional = true)
            },
            output =
                    @DataTypeHint(
                            "ROW<deleted_data_files_count BIGINT, deleted_manifest_files_count"
                                    + " BIGINT, deleted_manifest_lists_count BIGINT,"
                                    + " deleted_statistics_files_count BIGINT, deleted_bytes_count BIGINT,"
                                    + " expired_snapshots_count BIGINT, kept_snapshots_count BIGINT, protected_snapshots_count"
                                    + " BIGINT, protected_by STRING, dry_run BOOLEAN, seconds DOUBLE,"
                                    + " failed_deletes_count BIGINT, expired_references STRING>"))
    public Row[] call(
            ProcedureContext context,
            String table,
            LocalDateTime olderThan,
            Integer retainLast,
            Boolean ignoreUnknownPositions,
            Boolean dryRun,
            String snapshotIds,
            Boolean cleanExpiredMetadata) {
        long started = System.nanoTime();
        Arguments.positive("retain_last", retainLast);
        Table loaded = catalog.load(table);
        Arguments.mayLoseFiles(loaded);
        Protection protection = catalog.protection(table, Session.configuration(context));
        Arguments.knownOrIgnored(protection, ignoreUnknownPositions);
        boolean dry = Arguments.or(dryRun, false);
        Expiry expiry =
                new Expiry(
                        loaded,
                        protection,
                        Session.instant(context, olderThan),
                        retainLast,
                        named(loaded, snapshotIds));
        Expiry.Result done =
                dry ? expiry.dryRun() : expiry.run(Arguments.or(cleanExpiredMetadata, false));
        return new Row[] {
            Row.of(
                    done.dataFiles(),
                    done.manifests(),
                    done.manifestLists(),
                    done.statistics(),
                    done.bytes(),
                    done.expired(),
                    done.kept(),
                    (long) protection.protectors().size(),
                    String.join("; ", protection.reasons()),
                    dry,
                    Seconds.since(started),
                    done.failed(),
                    String.join("; ", done.references()))
        };
    }

    private static Set<Long> named(Table table, String snapshotIds) {
        Set<Long> ids = new LinkedHashSet<>();
        for (String id :
                Arguments.or(Arguments.names("snapshot_ids", snapshotIds), List.<String>of())) {
            ids.add(Snapshots.existing(table, Arguments.number("snapshot_ids", id)));
        }
        return ids;
    }
}
