package lakehouse.parquet;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.Metrics;
import org.apache.iceberg.MetricsConfig;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.SchemaParser;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.encryption.EncryptedOutputFile;
import org.apache.iceberg.parquet.ParquetUtil;
import org.apache.iceberg.parquet.WriteSettings;
import org.apache.iceberg.shaded.org.apache.parquet.VersionParser.ParsedVersion;
import org.apache.iceberg.shaded.org.apache.parquet.column.page.PageReadStore;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageType;

/** A file being written from the row groups of other files. */
final class MergedFile implements AutoCloseable {
    private final Table table;
    private final WriteSettings settings;
    private final MessageType schema;
    private final EncryptedOutputFile output;
    private final List<FloatMetrics> metrics;
    private final ParquetFileWriter file;
    private RowGroup rowGroup;
    private long digest;
    private boolean complete;

    MergedFile(Table table, WriteSettings settings, MessageType schema, EncryptedOutputFile output)
            throws IOException {
        this.table = table;
        this.settings = settings;
        this.schema = schema;
        this.output = output;
        this.metrics = schema.getColumns().stream().map(FloatMetrics::of).toList();
        this.file = settings.writer(output.encryptingOutputFile(), schema);
        file.start();
        startRowGroup();
    }

    private void startRowGroup() {
        rowGroup = new RowGroup(settings, schema, metrics);
    }

    void add(PageReadStore other, ParsedVersion writtenBy) throws IOException {
        rowGroup.add(other, writtenBy);
        if (rowGroup.size() >= settings.rowGroupSize()) {
            endRowGroup();
            startRowGroup();
        }
    }

    private void endRowGroup() throws IOException {
        if (rowGroup.rows() > 0) {
            digest += rowGroup.writeTo(file);
        }
    }

    /** Approximate size in bytes. */
    long size() throws IOException {
        return file.getPos() + rowGroup.size();
    }

    /** Digest of all values added. */
    long digest() {
        return digest;
    }

    DataFile complete(PartitionSpec spec, StructLike partition, SortOrder order)
            throws IOException {
        endRowGroup();
        file.end(Map.of("iceberg.schema", SchemaParser.toJson(table.schema())));
        complete = true;
        Metrics all =
                ParquetUtil.footerMetrics(
                        file.getFooter(),
                        metrics.stream().flatMap(column -> column.result()),
                        MetricsConfig.forTable(table));
        return DataFiles.builder(spec)
                .withEncryptedOutputFile(output)
                .withFormat(FileFormat.PARQUET)
                .withFileSizeInBytes(file.getPos())
                .withPartition(partition)
                .withMetrics(all)
                .withSplitOffsets(ParquetUtil.getSplitOffsets(file.getFooter()))
                .withSortOrder(order)
                .build();
    }

    /** Deletes the file unless it is complete. */
    @Override
    public void close() throws IOException {
        if (!complete) {
            file.abort();
            file.close();
            table.io().deleteFile(output.encryptingOutputFile());
        }
    }
}
