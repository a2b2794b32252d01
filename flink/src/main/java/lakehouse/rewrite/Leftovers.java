package lakehouse.rewrite;

import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.io.SupportsPrefixOperations;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.HashSet;
import java.util.Set;
import java.util.function.IntPredicate;

/**
 * Files of a run that no commit took. They are looked for by name: a task that was killed told
 * nobody of its files.
 */
final class Leftovers {
    private static final Logger LOG = LoggerFactory.getLogger(Leftovers.class);

    private Leftovers() {}

    /**
     * Deletes the files of these groups that the table does not hold. What cannot be deleted is
     * left to remove_orphan_files.
     */
    static void delete(Table table, String runId, IntPredicate groups) {
        try {
            if (table.io() instanceof SupportsPrefixOperations io) {
                table.refresh();
                Set<String> live = live(table, runId);
                for (FileInfo file : io.listPrefix(dataLocation(table))) {
                    String name = file.location().substring(file.location().lastIndexOf('/') + 1);
                    if (name.contains("-" + runId + "-")
                            && !name.startsWith(".")
                            && groups.test(Integer.parseInt(name.substring(0, name.indexOf('-'))))
                            && !live.contains(name)) {
                        table.io().deleteFile(file.location());
                    }
                }
            }
        } catch (Exception error) {
            LOG.warn(
                    "Leftover files of run {} in table {} were not deleted",
                    runId,
                    table.name(),
                    error);
        }
    }

    /**
     * Names of the run's files that the table holds: each has the run's id in it, and no two are
     * the same.
     */
    private static Set<String> live(Table table, String runId) throws IOException {
        Set<String> names = new HashSet<>();
        try (CloseableIterable<FileScanTask> tasks = table.newScan().planFiles()) {
            for (FileScanTask task : tasks) {
                String path = task.file().location();
                if (path.contains(runId)) {
                    names.add(path.substring(path.lastIndexOf('/') + 1));
                }
            }
        }
        return names;
    }

    private static String dataLocation(Table table) {
        String configured = table.properties().get(TableProperties.WRITE_DATA_LOCATION);
        return configured != null ? configured : table.location() + "/data";
    }
}
