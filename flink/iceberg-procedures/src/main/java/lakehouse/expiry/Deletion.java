package lakehouse.expiry;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import lakehouse.expiry.ExpiredFiles.ExpiredFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.io.SupportsBulkOperations;
import org.apache.iceberg.util.Tasks;
import org.apache.iceberg.util.ThreadPools;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Deletes files in batches, and counts those deleted and those that could not be. */
class Deletion implements Consumer<ExpiredFile>, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Deletion.class);
    private static final int BATCH = 1_000;

    private final Table table;
    private final List<ExpiredFile> batch = new ArrayList<>();
    private final FileCounts deleted = new FileCounts();
    private long failed;

    Deletion(Table table) {
        this.table = table;
    }

    @Override
    public synchronized void accept(ExpiredFile file) {
        batch.add(file);
        if (batch.size() >= BATCH) {
            flush();
        }
    }

    /** A file that cannot be deleted is logged and left for remove_orphan_files. */
    private void flush() {
        Set<String> undeleted = delete(batch.stream().map(ExpiredFile::path).toList());
        failed += undeleted.size();
        batch.stream().filter(file -> !undeleted.contains(file.path())).forEach(deleted);
        batch.clear();
    }

    /** Files that could not be deleted. */
    private Set<String> delete(List<String> paths) {
        Set<String> undeleted = ConcurrentHashMap.newKeySet();
        if (table.io() instanceof SupportsBulkOperations store) {
            try {
                store.deleteFiles(paths);
            } catch (RuntimeException error) {
                // The error only has their number, not their paths.
                LOG.warn("Not all expired files of table {} were deleted", table.name(), error);
                Tasks.foreach(paths)
                        .executeWith(ThreadPools.getWorkerPool())
                        .run(path -> addIfThere(undeleted, path));
            }
        } else {
            Tasks.foreach(paths)
                    .suppressFailureWhenFinished()
                    .onFailure((path, error) -> addIfThere(undeleted, path))
                    .executeWith(ThreadPools.getWorkerPool())
                    .run(table.io()::deleteFile);
        }
        return undeleted;
    }

    private void addIfThere(Set<String> undeleted, String path) {
        try {
            if (!table.io().newInputFile(path).exists()) {
                return;
            }
        } catch (RuntimeException unknown) {
            LOG.warn("Whether {} was deleted is unknown", path, unknown);
        }
        undeleted.add(path);
    }

    FileCounts deleted() {
        return deleted;
    }

    long failed() {
        return failed;
    }

    /** Deletes the remaining files. */
    @Override
    public synchronized void close() {
        flush();
    }
}
