package lakehouse.imports;

import java.util.Map;

/**
 * What to add to a table.
 *
 * @param path the folder of the files
 * @param partitionFilter only files of these partitions; all if empty
 */
public record ImportRequest(
        String path,
        Map<String, String> partitionFilter,
        boolean checkDuplicates,
        boolean dryRun) {}
