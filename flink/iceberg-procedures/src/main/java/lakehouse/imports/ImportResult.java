package lakehouse.imports;

import java.util.List;

/**
 * What was added to a table, or would be.
 *
 * @param ignoredColumns those that files have and the table has not
 */
public record ImportResult(long files, long partitions, List<String> ignoredColumns) {}
