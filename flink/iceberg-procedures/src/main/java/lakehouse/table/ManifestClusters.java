package lakehouse.table;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.ManifestFile;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Comparators;
import org.apache.iceberg.util.PropertyUtil;
import org.apache.iceberg.util.StructLikeMap;

/**
 * Combines neighbouring partitions into full manifests: one manifest per partition would give many
 * small ones.
 */
public class ManifestClusters implements Function<DataFile, Object> {
    private final Map<Integer, StructLikeMap<Integer>> clusters = new HashMap<>();

    public ManifestClusters(Table table) {
        long files = 0;
        Map<Integer, StructLikeMap<Long>> counts = new HashMap<>();
        try (CloseableIterable<FileScanTask> tasks = table.newScan().planFiles()) {
            for (FileScanTask task : tasks) {
                PartitionSpec spec = task.spec();
                counts.computeIfAbsent(
                                spec.specId(), id -> StructLikeMap.create(spec.partitionType()))
                        .merge(task.file().partition(), 1L, Long::sum);
                files++;
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        long bytes =
                table.currentSnapshot().dataManifests(table.io()).stream()
                        .mapToLong(ManifestFile::length)
                        .sum();
        long target =
                PropertyUtil.propertyAsLong(
                        table.properties(),
                        TableProperties.MANIFEST_TARGET_SIZE_BYTES,
                        TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT);
        double filesInOne = Math.max(1, files * (double) target / Math.max(1, bytes));
        counts.forEach(
                (spec, partitions) ->
                        clusters.put(
                                spec, cluster(table.specs().get(spec), partitions, filesInOne)));
    }

    private static StructLikeMap<Integer> cluster(
            PartitionSpec spec, StructLikeMap<Long> counts, double filesInOne) {
        Comparator<StructLike> order = Comparators.forType(spec.partitionType());
        List<StructLike> partitions = counts.keySet().stream().sorted(order).toList();
        StructLikeMap<Integer> clusters = StructLikeMap.create(spec.partitionType());
        long before = 0;
        for (StructLike partition : partitions) {
            clusters.put(partition, (int) (before / filesInOne));
            before += counts.get(partition);
        }
        return clusters;
    }

    /** Files committed in the meantime get a manifest of their own. */
    @Override
    public Object apply(DataFile file) {
        StructLikeMap<Integer> ofSpec = clusters.get(file.specId());
        Integer cluster = ofSpec == null ? null : ofSpec.get(file.partition());
        return cluster == null ? -1 : cluster;
    }
}
