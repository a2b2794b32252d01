package lakehouse.orphan;

import java.time.Instant;

/**
 * Arguments of the removal.
 *
 * @param location folder to search; null for the table's own
 * @param quarantine folder that orphan files are moved to
 * @param maxShare largest share of all files that may be removed
 */
public record OrphanRequest(
        Instant olderThan,
        String location,
        String quarantine,
        double maxShare,
        Prefixes prefixes,
        boolean dryRun) {}
