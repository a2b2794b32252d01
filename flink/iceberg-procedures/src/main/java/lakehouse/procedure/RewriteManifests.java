package lakehouse.procedure;

import lakehouse.table.ManifestClusters;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.ProcedureHint;
import org.apache.flink.table.procedure.ProcedureContext;
import org.apache.flink.table.procedures.Procedure;
import org.apache.flink.types.Row;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotSummary;
import org.apache.iceberg.Table;

/**
 * {@code CALL system.rewrite_manifests(table)}: groups the entries of each partition, so that a
 * query of few partitions reads few manifests.
 */
public class RewriteManifests implements Procedure {
    private final MaintenanceCatalog catalog;

    public RewriteManifests(MaintenanceCatalog catalog) {
        this.catalog = catalog;
    }

    @ProcedureHint(
            argument = @ArgumentHint(name = "table", type = @DataTypeHint("STRING")),
            output =
                    @DataTypeHint(
                            "ROW<rewritten_manifests_count BIGINT, added_manifests_count BIGINT,"
                                    + " seconds DOUBLE>"))
    public Row[] call(ProcedureContext context, String table) {
        long started = System.nanoTime();
        Table loaded = catalog.load(table);
        long rewritten = 0;
        long added = 0;
        if (loaded.currentSnapshot() != null
                && loaded.currentSnapshot().dataManifests(loaded.io()).size() > 1) {
            loaded.rewriteManifests().clusterBy(new ManifestClusters(loaded)).commit();
            loaded.refresh();
            Snapshot snapshot = loaded.currentSnapshot();
            rewritten = count(snapshot, SnapshotSummary.REPLACED_MANIFESTS_COUNT);
            added = count(snapshot, SnapshotSummary.CREATED_MANIFESTS_COUNT);
        }
        return new Row[] {Row.of(rewritten, added, Seconds.since(started))};
    }

    private static long count(Snapshot snapshot, String key) {
        return Long.parseLong(snapshot.summary().getOrDefault(key, "0"));
    }
}
