package lakehouse.imports;

import java.util.List;

/**
 * What was added to a table, or would be in a dry run.
 *
 * @param ignoredColumns columns of the files that the table does not have
 */
public record ImportResult(long files, long partitions, List<String> ignoredColumns) {}
