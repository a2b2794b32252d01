package lakehouse.expiry;

import org.apache.iceberg.PartitionStatisticsFile;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StatisticsFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.io.SupportsBulkOperations;
import org.apache.iceberg.util.Tasks;
import org.apache.iceberg.util.ThreadPools;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** Deletes what Iceberg hands it file by file, many at once, and counts what kind it was. */
class ExpiredFiles implements Consumer<String>, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ExpiredFiles.class);
    private static final int BATCH = 1_000;

    private final Table table;
    private final Set<String> manifestListsOfExpired;
    private final Set<String> statisticsOfTable;
    private final List<String> batch = new ArrayList<>();
    private long dataFiles;
    private long manifests;
    private long manifestLists;
    private long statistics;
    private long bytes;
    private long failed;

    ExpiredFiles(Table table, List<Snapshot> expired) {
        this.table = table;
        manifestListsOfExpired =
                expired.stream().map(Snapshot::manifestListLocation).collect(Collectors.toSet());
        statisticsOfTable = statistics(table).keySet();
    }

    /** Each statistics file, of either kind, and its snapshot. */
    static Map<String, Long> statistics(Table table) {
        Map<String, Long> files = new HashMap<>();
        for (StatisticsFile file : table.statisticsFiles()) {
            files.put(file.path(), file.snapshotId());
        }
        for (PartitionStatisticsFile file : table.partitionStatisticsFiles()) {
            files.put(file.path(), file.snapshotId());
        }
        return files;
    }

    /** Bytes of files together; one that is gone already has none. */
    static long bytes(Table table, Collection<String> paths) {
        LongAdder sum = new LongAdder();
        Tasks.foreach(paths)
                .suppressFailureWhenFinished()
                .executeWith(ThreadPools.getWorkerPool())
                .run(path -> sum.add(table.io().newInputFile(path).getLength()));
        return sum.sum();
    }

    @Override
    public void accept(String path) {
        batch.add(path);
        if (batch.size() >= BATCH) {
            flush();
        }
    }

    private void count(String path) {
        if (manifestListsOfExpired.contains(path)) {
            manifestLists++;
        } else if (statisticsOfTable.contains(path)) {
            statistics++;
        } else if (path.endsWith(".avro") && path.contains("/metadata/")) {
            manifests++;
        } else {
            dataFiles++;
        }
    }

    /** A file that cannot be deleted is logged, and left to remove_orphan_files. */
    private void flush() {
        long before = bytes(table, batch);
        Set<String> undeleted = delete();
        failed += undeleted.size();
        bytes += before - bytes(table, undeleted);
        batch.stream().filter(path -> !undeleted.contains(path)).forEach(this::count);
        batch.clear();
    }

    /** Those that could not be. */
    private Set<String> delete() {
        Set<String> undeleted = ConcurrentHashMap.newKeySet();
        if (table.io() instanceof SupportsBulkOperations store) {
            try {
                store.deleteFiles(batch);
            } catch (RuntimeException error) {
                // It says how many, and not which.
                LOG.warn("Not all expired files of table {} were deleted", table.name(), error);
                Tasks.foreach(batch)
                        .executeWith(ThreadPools.getWorkerPool())
                        .run(path -> addIfThere(undeleted, path));
            }
        } else {
            Tasks.foreach(batch)
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

    long deleted() {
        return dataFiles + manifests + manifestLists + statistics;
    }

    long failed() {
        return failed;
    }

    long dataFiles() {
        return dataFiles;
    }

    long manifests() {
        return manifests;
    }

    long manifestLists() {
        return manifestLists;
    }

    long statistics() {
        return statistics;
    }

    long bytes() {
        return bytes;
    }

    /** Deletes the rest. */
    @Override
    public void close() {
        flush();
    }
}
