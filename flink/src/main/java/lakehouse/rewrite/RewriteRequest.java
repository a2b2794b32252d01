package lakehouse.rewrite;

/**
 * What a rewrite is asked for; null where the default holds.
 *
 * @param table database and name, for the name of the job
 * @param sortOrder text of the order to sort by
 * @param where text of the condition on rows whose files are considered
 * @param rewriteAll takes files that need it not
 * @param deleteFileThreshold takes files with so many delete files
 */
public record RewriteRequest(
        String table,
        boolean sort,
        String sortOrder,
        String where,
        Long targetFileSizeBytes,
        Integer minInputFiles,
        Long maxRewriteBytes,
        boolean dryRun,
        boolean verify,
        boolean rewriteAll,
        Integer deleteFileThreshold) {}
