package lakehouse.rewrite;

/**
 * What a rewrite is asked for; null where the default holds.
 *
 * @param table database and name, for the name of the job
 * @param branch whose files are rewritten; null for the main one
 * @param sortOrder text of the order to sort by
 * @param where text of the condition on rows whose files are considered
 */
public record RewriteRequest(
        String table,
        String branch,
        boolean sort,
        String sortOrder,
        String where,
        Long maxRewriteBytes,
        boolean dryRun,
        boolean verify,
        RewriteOptions options) {}
