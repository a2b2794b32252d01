package lakehouse.statistics;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.apache.datasketches.memory.Memory;
import org.apache.datasketches.theta.CompactSketch;
import org.apache.datasketches.theta.SetOperation;
import org.apache.datasketches.theta.Union;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.util.CloseableIterator;
import org.apache.iceberg.CombinedScanTask;
import org.apache.iceberg.GenericBlobMetadata;
import org.apache.iceberg.GenericStatisticsFile;
import org.apache.iceberg.HasTableOperations;
import org.apache.iceberg.IcebergBuild;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SerializableTable;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StatisticsFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.encryption.StandardEncryptionManager;
import org.apache.iceberg.exceptions.CommitStateUnknownException;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.puffin.Blob;
import org.apache.iceberg.puffin.Puffin;
import org.apache.iceberg.puffin.PuffinCompressionCodec;
import org.apache.iceberg.puffin.PuffinWriter;
import org.apache.iceberg.puffin.StandardBlobTypes;
import org.apache.iceberg.relocated.com.google.common.base.Throwables;
import org.apache.iceberg.types.TypeUtil;
import org.apache.iceberg.util.SnapshotUtil;

/**
 * The numbers of distinct values in a snapshot's columns: a Flink job computes a sketch of each,
 * and a Puffin file with the sketches is attached to the snapshot.
 */
public class TableStatistics {
    /** Files per job: a job's description of its files is sent to the cluster in one piece. */
    private static final int FILES_PER_JOB = 5_000;

    private final Table table;
    private final Snapshot snapshot;
    private final Schema schema;
    private final List<Integer> columns;
    private final Supplier<StreamExecutionEnvironment> cluster;

    /**
     * @param columns names of columns; null for all that can have statistics
     * @param cluster provides an environment for each job
     */
    public TableStatistics(
            Table table,
            long snapshotId,
            List<String> columns,
            Supplier<StreamExecutionEnvironment> cluster) {
        if (table.encryption() instanceof StandardEncryptionManager) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " is encrypted, but a statistics file would not be:"
                            + " compute_table_stats supports only tables that are not encrypted");
        }
        this.table = table;
        this.snapshot = table.snapshot(snapshotId);
        this.schema = SnapshotUtil.schemaFor(table, snapshotId);
        this.columns = new Columns(table, schema).ids(columns);
        this.cluster = cluster;
    }

    /** Returns the path of the statistics file. */
    public String run() {
        List<Union> sketches =
                Stream.generate(() -> SetOperation.builder().buildUnion())
                        .limit(columns.size())
                        .toList();
        List<CombinedScanTask> job = new ArrayList<>();
        int files = 0;
        try (CloseableIterable<CombinedScanTask> tasks =
                table.newScan().useSnapshot(snapshot.snapshotId()).planTasks()) {
            for (CombinedScanTask task : tasks) {
                files += task.files().size();
                if (files > FILES_PER_JOB && !job.isEmpty()) {
                    merge(job, sketches);
                    job = new ArrayList<>();
                    files = task.files().size();
                }
                job.add(task);
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        if (!job.isEmpty()) {
            merge(job, sketches);
        }
        return attach(write(sketches));
    }

    private void merge(List<CombinedScanTask> tasks, List<Union> sketches) {
        StreamExecutionEnvironment environment = cluster.get();
        int parallelism = Math.min(environment.getParallelism(), tasks.size());
        Schema projection = TypeUtil.select(schema, new LinkedHashSet<>(columns));
        try (CloseableIterator<byte[]> results =
                environment
                        .fromSequence(0, tasks.size() - 1)
                        .setParallelism(parallelism)
                        .transform(
                                "sketch",
                                PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                                new SketchOperator(
                                        SerializableTable.copyOf(table),
                                        schema,
                                        projection,
                                        columns,
                                        tasks))
                        .setParallelism(parallelism)
                        .executeAndCollect("compute_table_stats " + table.name())) {
            while (results.hasNext()) {
                Sketch sketch = Sketch.fromBytes(results.next());
                sketches.get(sketch.place()).union(Memory.wrap(sketch.theta()));
            }
        } catch (Exception error) {
            throw new IllegalStateException(
                    "The job that computes statistics of table "
                            + table.name()
                            + " failed: "
                            + Throwables.getRootCause(error)
                            + ". Nothing was changed; see the log of Flink's TaskManager",
                    error);
        }
    }

    private StatisticsFile write(List<Union> sketches) {
        OutputFile file =
                table.io()
                        .newOutputFile(
                                ((HasTableOperations) table)
                                        .operations()
                                        .metadataFileLocation(
                                                snapshot.snapshotId()
                                                        + "-"
                                                        + UUID.randomUUID()
                                                        + ".stats"));
        String writtenBy =
                "Iceberg "
                        + IcebergBuild.fullVersion()
                        + " Flink "
                        + EnvironmentInformation.getVersion();
        try (PuffinWriter writer = Puffin.write(file).createdBy(writtenBy).build()) {
            for (int place = 0; place < columns.size(); place++) {
                writer.add(blob(columns.get(place), sketches.get(place).getResult()));
            }
            writer.finish();
            return new GenericStatisticsFile(
                    snapshot.snapshotId(),
                    file.location(),
                    writer.fileSize(),
                    writer.footerSize(),
                    GenericBlobMetadata.from(writer.writtenBlobsMetadata()));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private Blob blob(int column, CompactSketch sketch) {
        return new Blob(
                StandardBlobTypes.APACHE_DATASKETCHES_THETA_V1,
                List.of(column),
                snapshot.snapshotId(),
                snapshot.sequenceNumber(),
                ByteBuffer.wrap(sketch.toByteArray()),
                PuffinCompressionCodec.ZSTD,
                Map.of("ndv", String.valueOf((long) sketch.getEstimate())));
    }

    private String attach(StatisticsFile file) {
        table.refresh();
        try {
            // Statistics of a snapshot that is gone would never expire.
            if (table.snapshot(snapshot.snapshotId()) == null) {
                throw new ValidationException(
                        "Snapshot "
                                + snapshot.snapshotId()
                                + " of table "
                                + table.name()
                                + " expired while its statistics were computed. Next: call again,"
                                + " for a snapshot that is kept");
            }
            table.updateStatistics().setStatistics(file).commit();
        } catch (CommitStateUnknownException unknown) {
            throw unknown;
        } catch (RuntimeException error) {
            table.io().deleteFile(file.path());
            throw error;
        }
        return file.path();
    }
}
