package lakehouse.orphan;

import java.time.Instant;

/**
 * What is asked for.
 *
 * @param location null for the table's own
 * @param quarantine the folder that orphan files are moved to
 * @param maxShare how big a part of all files may go
 */
public record OrphanRequest(
        Instant olderThan,
        String location,
        String quarantine,
        double maxShare,
        Prefixes prefixes,
        boolean dryRun) {}
