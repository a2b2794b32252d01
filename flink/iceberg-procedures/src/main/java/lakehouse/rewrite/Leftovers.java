package lakehouse.rewrite;

import java.util.Set;
import lakehouse.table.FilePath;
import lakehouse.table.Listing;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.io.SupportsPrefixOperations;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Files of groups that were never committed. They are found by name, because a killed task cannot
 * report its files.
 */
final class Leftovers {
    private static final Logger LOG = LoggerFactory.getLogger(Leftovers.class);

    private Leftovers() {}

    /** Files that cannot be deleted are left for remove_orphan_files. */
    static void delete(Table table, String runId, Set<Integer> groups) {
        try {
            if (table.io() instanceof SupportsPrefixOperations io) {
                for (FileInfo file : Listing.of(io, dataLocation(table))) {
                    String name = FilePath.of(file.location()).name();
                    if (name.contains("-" + runId + "-") && groups.contains(group(name))) {
                        table.io().deleteFile(file.location());
                    }
                }
            }
        } catch (Exception error) {
            LOG.warn("Files of run {} in table {} were not deleted", runId, table.name(), error);
        }
    }

    /** The number of the group, with which the names of its files begin. */
    private static int group(String name) {
        return Integer.parseInt(name.substring(0, name.indexOf('-')));
    }

    private static String dataLocation(Table table) {
        String configured = table.properties().get(TableProperties.WRITE_DATA_LOCATION);
        return configured != null ? configured : table.location() + "/data";
    }
}
