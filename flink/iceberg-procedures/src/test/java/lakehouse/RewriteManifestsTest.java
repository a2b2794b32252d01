package lakehouse;

import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.rows;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.List;
import java.util.Map;
import org.apache.iceberg.ManifestFile;
import org.apache.iceberg.Table;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RewriteManifestsTest {
    @TempDir Path folder;

    @Test
    void manifestsContainNeighbouringPartitions() throws Exception {
        try (Lakehouse lake = new Lakehouse(folder)) {
            // Small, so that each manifest contains only a few files.
            Table trips =
                    lake.table(
                            "silver.trips",
                            Lakehouse.BY_DAY,
                            Map.of(
                                    "commit.manifest.target-size-bytes",
                                    "15000",
                                    "commit.manifest-merge.enabled",
                                    "false"));
            assertThat(lake.call("rewrite_manifests('silver.trips')"))
                    .containsEntry("rewritten_manifests_count", 0L);
            for (int i = 0; i < 12; i++) {
                LocalDate day = Lakehouse.JAN_5.plusDays(i % 4);
                append(trips, day, trip(i, day, 1, "a"));
            }
            List<String> before = rows(trips);
            assertThat(lake.call("rewrite_manifests(`table` => 'lake.silver.trips')"))
                    .containsEntry("rewritten_manifests_count", 12L)
                    .hasEntrySatisfying(
                            "added_manifests_count",
                            added -> assertThat((Long) added).isBetween(2L, 6L));
            assertThat(rows(trips)).isEqualTo(before);
            assertThat(trips.currentSnapshot().operation()).isEqualTo("replace");
            for (ManifestFile manifest : trips.currentSnapshot().dataManifests(trips.io())) {
                int from =
                        manifest.partitions()
                                .get(0)
                                .lowerBound()
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .getInt(0);
                int to =
                        manifest.partitions()
                                .get(0)
                                .upperBound()
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .getInt(0);
                assertThat(to - from).isLessThanOrEqualTo(2);
            }
        }
    }
}
