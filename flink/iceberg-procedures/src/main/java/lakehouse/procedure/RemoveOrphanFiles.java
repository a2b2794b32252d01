package lakehouse.procedure;

import java.time.Duration;
import java.time.Instant;
import java.time.LocalDateTime;
import lakehouse.orphan.OrphanRequest;
import lakehouse.orphan.Orphans;
import lakehouse.orphan.Prefixes;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Table;
import org.apache.iceberg.io.FileInfo;

/**
 * {@code CALL system.remove_orphan_files(...)}: moves files that the table does not reference to
 * quarantine.
 */
public class RemoveOrphanFiles implements Procedure {
    private static final Duration DEFAULT_AGE = Duration.ofDays(3);

    /** Files that a job has written but not committed are referenced only by its state. */
    private static final Duration LEAST_AGE = Duration.ofHours(24);

    private static final double DEFAULT_SHARE = 0.5;
    private static final int SHOWN = 20;

    private final MaintenanceCatalog catalog;

    public RemoveOrphanFiles(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = {
                @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
                @ArgumentHint(
                        name = "older_than",
                        type = @DataTypeHint("TIMESTAMP(6)"),
                        isOptional = true),
                @ArgumentHint(name = "location", type = @DataTypeHint("STRING"), isOptional = true),
                @ArgumentHint(name = "dry_run", type = @DataTypeHint("BOOLEAN"), isOptional = true),
                @ArgumentHint(
                        name = "allow_recent",
                        type = @DataTypeHint("BOOLEAN"),
                        isOptional = true),
                @ArgumentHint(
                        name = "max_orphan_share",
                        type = @DataTypeHint("DOUBLE"),
                        isOptional = true),
                @ArgumentHint(
                        name = "prefix_mismatch_mode",
                        type = @DataTypeHint("STRING"),
                        isOptional = true),
                @ArgumentHint(
                        name = "equal_schemes",
                        type = @DataTypeHint("STRING"),
                        isOptional = true),
                @ArgumentHint(
                        name = "equal_authorities",
                        type = @DataTypeHint("STRING"),
                        isOptional = true)
            },
            output =
                    @DataTypeHint(
                            "ROW<orphan_files_count BIGINT, orphan_bytes_count BIGINT,"
                                    + " listed_files_count BIGINT, quarantine STRING,"
                                    + " first_orphan_files ARRAY<STRING>, dry_run BOOLEAN, seconds"
                                    + " DOUBLE>"))
    public Row[] call(
            ProcedureContext context,
            String table,
            LocalDateTime olderThan,
            String location,
            Boolean dryRun,
            Boolean allowRecent,
            Double maxOrphanShare,
            String prefixMismatchMode,
            String equalSchemes,
            String equalAuthorities) {
        long started = System.nanoTime();
        Table loaded = catalog.load(table);
        Arguments.mayLoseFiles(loaded);
        Instant now = Instant.now();
        Instant age = Arguments.or(Session.instant(context, olderThan), now.minus(DEFAULT_AGE));
        if (age.isAfter(now.minus(LEAST_AGE)) && !Arguments.or(allowRecent, false)) {
            throw new ValidationException(
                    "older_than => "
                            + age
                            + " is not "
                            + LEAST_AGE.toHours()
                            + " hours ago: files that a running job has not committed yet would be"
                            + " removed. If no job writes to the table, set allow_recent => true");
        }
        double share = Arguments.or(maxOrphanShare, DEFAULT_SHARE);
        if (!(share > 0 && share <= 1)) {
            throw new ValidationException(
                    "max_orphan_share => " + share + " is not greater than 0 and at most 1");
        }
        boolean dry = Arguments.or(dryRun, false);
        Prefixes prefixes =
                new Prefixes(
                        Arguments.pairs("equal_schemes", equalSchemes),
                        Arguments.pairs("equal_authorities", equalAuthorities),
                        Arguments.oneOf(
                                "prefix_mismatch_mode",
                                prefixMismatchMode,
                                Prefixes.Mismatch.ERROR));
        OrphanRequest request =
                new OrphanRequest(age, location, catalog.quarantine(), share, prefixes, dry);
        Orphans.Result done =
                new Orphans(loaded, request, () -> catalog.others(table), catalog.restorable())
                        .run();
        return new Row[] {
            Row.of(
                    (long) done.orphans().size(),
                    done.bytes(),
                    done.listed(),
                    done.quarantine(),
                    done.orphans().stream()
                            .limit(SHOWN)
                            .map(FileInfo::location)
                            .toArray(String[]::new),
                    dry,
                    Seconds.since(started))
        };
    }
}
