package lakehouse.rewrite;

/**
 * Arguments of a rewrite; null for defaults.
 *
 * @param table database and table, for the name of the job
 * @param branch branch with the files to rewrite; null for the main one
 * @param sortOrder sort order as text
 * @param where condition; files with matching rows are considered
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
