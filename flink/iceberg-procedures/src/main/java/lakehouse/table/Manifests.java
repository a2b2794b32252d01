package lakehouse.table;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.ObjLongConsumer;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.GenericManifestFile;
import org.apache.iceberg.InternalData;
import org.apache.iceberg.ManifestFile;
import org.apache.iceberg.ManifestFiles;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.TypeUtil;
import org.apache.iceberg.util.Tasks;
import org.apache.iceberg.util.ThreadPools;

/**
 * The contents of snapshots, read in parallel. A manifest that cannot be read is an error: its
 * files must not appear unused.
 */
public final class Manifests {
    /**
     * The columns needed to read the paths of a manifest's files, and no more, because there may be
     * thousands of snapshots. Without its kind, a manifest of delete files would be read like one
     * of data files.
     */
    private static final Schema PROJECTION =
            TypeUtil.select(
                    ManifestFile.schema(),
                    Set.of(
                            ManifestFile.PATH.fieldId(),
                            ManifestFile.LENGTH.fieldId(),
                            ManifestFile.SPEC_ID.fieldId(),
                            ManifestFile.SNAPSHOT_ID.fieldId()));

    private static final List<String> COLUMNS =
            List.of(DataFile.FILE_PATH.name(), DataFile.FILE_SIZE.name());

    private Manifests() {}

    /** The distinct manifests of all these snapshots. */
    public static Set<ManifestFile> of(Table table, Collection<Snapshot> snapshots) {
        Set<ManifestFile> manifests = ConcurrentHashMap.newKeySet();
        Tasks.foreach(snapshots)
                .stopOnFailure()
                .throwFailureWhenFinished()
                .executeWith(ThreadPools.getWorkerPool())
                .run(
                        snapshot -> {
                            try (CloseableIterable<ManifestFile> read = list(table, snapshot)) {
                                for (ManifestFile manifest : read) {
                                    if (!manifests.contains(manifest)) {
                                        manifests.add(manifest.copy());
                                    }
                                }
                            } catch (IOException error) {
                                throw new UncheckedIOException(error);
                            }
                        });
        return new HashSet<>(manifests);
    }

    private static CloseableIterable<ManifestFile> list(Table table, Snapshot snapshot) {
        if (snapshot.manifestListLocation() == null) {
            return CloseableIterable.withNoopClose(snapshot.allManifests(table.io()));
        }
        return InternalData.read(
                        FileFormat.AVRO, table.io().newInputFile(snapshot.manifestListLocation()))
                .setRootType(GenericManifestFile.class)
                .project(PROJECTION)
                .reuseContainers()
                .build();
    }

    /** Passes on the path of each live file, from several threads. */
    public static void livePaths(
            Table table, Collection<ManifestFile> manifests, Consumer<String> consumer) {
        liveFiles(table, manifests, (path, bytes) -> consumer.accept(path));
    }

    /** Passes on the path and size of each live file, from several threads. */
    public static void liveFiles(
            Table table, Collection<ManifestFile> manifests, ObjLongConsumer<String> consumer) {
        Tasks.foreach(manifests)
                .stopOnFailure()
                .throwFailureWhenFinished()
                .executeWith(ThreadPools.getWorkerPool())
                .run(
                        manifest -> {
                            try (CloseableIterable<DataFile> files =
                                    ManifestFiles.read(manifest, table.io(), table.specs())
                                            .select(COLUMNS)) {
                                files.forEach(
                                        file ->
                                                consumer.accept(
                                                        file.location(), file.fileSizeInBytes()));
                            } catch (IOException error) {
                                throw new UncheckedIOException(error);
                            }
                        });
    }
}
