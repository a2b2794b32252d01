package lakehouse.expiry;

import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.PartitionStatisticsFile;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StatisticsFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.util.Tasks;
import org.apache.iceberg.util.ThreadPools;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** Deletes what Iceberg hands it file by file, many at once, and counts what kind it was. */
class ExpiredFiles implements Consumer<String>, AutoCloseable {
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
        if (manifestListsOfExpired.contains(path)) {
            manifestLists++;
        } else if (statisticsOfTable.contains(path)) {
            statistics++;
        } else if (path.endsWith(".avro") && path.contains("/metadata/")) {
            manifests++;
        } else {
            dataFiles++;
        }
        batch.add(path);
        if (batch.size() >= BATCH) {
            flush();
        }
    }

    /** A file that cannot be deleted is logged, and left to remove_orphan_files. */
    private void flush() {
        bytes += bytes(table, batch);
        CatalogUtil.deleteFiles(table.io(), batch, "expired");
        batch.clear();
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
