package lakehouse.imports;

import java.util.Map;

/**
 * The files to add to a table.
 *
 * @param path folder of the files
 * @param partitionFilter partitions whose files are added; all if empty
 */
public record ImportRequest(
        String path,
        Map<String, String> partitionFilter,
        boolean checkDuplicates,
        boolean dryRun) {}
