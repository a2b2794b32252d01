package lakehouse.expiry;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import lakehouse.table.Manifests;
import org.apache.iceberg.ManifestFile;
import org.apache.iceberg.PartitionStatisticsFile;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StatisticsFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.relocated.com.google.common.hash.Hashing;

/**
 * The files that only expired snapshots reference. Their sizes come from the metadata that lists
 * them, so the store receives no request per file.
 */
final class ExpiredFiles {
    enum Kind {
        DATA,
        MANIFEST,
        MANIFEST_LIST,
        STATISTICS
    }

    /**
     * @param bytes size of the file; 0 for a manifest list, because no metadata records it
     */
    record ExpiredFile(String path, Kind kind, long bytes) {}

    private final Table table;
    private final Map<Long, Snapshot> expired = new LinkedHashMap<>();
    private final Map<String, ExpiredFile> statistics = new HashMap<>();

    /**
     * @param table loaded before the snapshots expire, so that it still has their statistics files
     */
    ExpiredFiles(Table table, Collection<Snapshot> expired) {
        this.table = table;
        expired.forEach(snapshot -> this.expired.put(snapshot.snapshotId(), snapshot));
        for (StatisticsFile file : table.statisticsFiles()) {
            addStatistics(file.snapshotId(), file.path(), file.fileSizeInBytes());
        }
        for (PartitionStatisticsFile file : table.partitionStatisticsFiles()) {
            addStatistics(file.snapshotId(), file.path(), file.fileSizeInBytes());
        }
    }

    private void addStatistics(long snapshot, String path, long bytes) {
        if (expired.containsKey(snapshot)) {
            statistics.put(path, new ExpiredFile(path, Kind.STATISTICS, bytes));
        }
    }

    /**
     * Passes each file to the consumer once, from several threads. The files of a manifest come
     * before the manifest itself. Files of all other current snapshots are left out.
     */
    void forEach(Consumer<ExpiredFile> consumer) {
        table.refresh();
        List<Snapshot> kept = new ArrayList<>();
        for (Snapshot snapshot : table.snapshots()) {
            if (!expired.containsKey(snapshot.snapshotId())) {
                kept.add(snapshot);
            }
        }
        Set<ManifestFile> going = Manifests.of(table, expired.values());
        Set<ManifestFile> staying = Manifests.of(table, kept);
        going.removeAll(staying);
        // Hashes of the paths, because there may be millions. A collision can only keep a file that
        // could be deleted, never delete one that is needed: files to keep remove their hash.
        Set<Long> gone = ConcurrentHashMap.newKeySet();
        Manifests.liveFiles(table, going, (path, bytes) -> gone.add(hash(path)));
        if (!gone.isEmpty()) {
            Manifests.liveFiles(table, staying, (path, bytes) -> gone.remove(hash(path)));
        }
        if (!gone.isEmpty()) {
            Manifests.liveFiles(
                    table,
                    going,
                    (path, bytes) -> {
                        if (gone.remove(hash(path))) {
                            consumer.accept(new ExpiredFile(path, Kind.DATA, bytes));
                        }
                    });
        }
        going.forEach(
                manifest ->
                        consumer.accept(
                                new ExpiredFile(
                                        manifest.path(), Kind.MANIFEST, manifest.length())));
        for (Snapshot snapshot : expired.values()) {
            if (snapshot.manifestListLocation() != null) {
                consumer.accept(
                        new ExpiredFile(snapshot.manifestListLocation(), Kind.MANIFEST_LIST, 0));
            }
        }
        statistics.values().forEach(consumer);
    }

    private static long hash(String path) {
        return Hashing.murmur3_128().hashString(path, StandardCharsets.UTF_8).asLong();
    }
}
