package org.apache.iceberg.parquet;

import java.io.IOException;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.shaded.org.apache.parquet.column.ParquetProperties;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.CodecFactory;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ColumnChunkPageWriteStore;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.codec.ZstandardCodec;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageType;

/** Settings for writing Parquet files, from a table's properties. */
public final class WriteSettings {
    private final Parquet.WriteBuilder.Context context;
    private final Configuration hadoop = new Configuration();
    private final ParquetProperties parquet;
    private final CodecFactory.BytesCompressor compressor;

    /**
     * @param properties the table's properties
     */
    public WriteSettings(Map<String, String> properties) {
        this.context = Parquet.WriteBuilder.Context.dataContext(properties);
        if (context.compressionLevel() != null) {
            hadoop.set(ZstandardCodec.PARQUET_COMPRESS_ZSTD_LEVEL, context.compressionLevel());
        }
        this.parquet =
                ParquetProperties.builder()
                        .withWriterVersion(context.writerVersion())
                        .withPageSize(context.pageSize())
                        .withPageRowCountLimit(context.pageRowLimit())
                        .withDictionaryEncoding(context.dictionaryEnabled())
                        .withDictionaryPageSize(context.dictionaryPageSize())
                        .build();
        this.compressor =
                new ParquetCodecFactory(hadoop, parquet.getPageSizeThreshold())
                        .getCompressor(context.codec());
    }

    /** Whether nothing is configured that only Iceberg's own writer supports. */
    public boolean isSupported() {
        return context.columnBloomFilterEnabled().isEmpty()
                && context.columnStatsEnabled().isEmpty()
                && (context.compressionLevel() == null
                        || context.codec() == CompressionCodecName.ZSTD);
    }

    /** Size of a complete row group, in bytes. */
    public long rowGroupSize() {
        return context.rowGroupSize();
    }

    public ParquetProperties parquet() {
        return parquet;
    }

    public ParquetFileWriter writer(OutputFile file, MessageType schema) throws IOException {
        return new ParquetFileWriter(
                ParquetIO.file(file, hadoop),
                schema,
                ParquetFileWriter.Mode.CREATE,
                rowGroupSize(),
                0,
                parquet.getColumnIndexTruncateLength(),
                parquet.getStatisticsTruncateLength(),
                parquet.getPageWriteChecksumEnabled());
    }

    /** Buffers the pages of one row group until it is complete. */
    public ColumnChunkPageWriteStore pages(MessageType schema) {
        return new ColumnChunkPageWriteStore(
                compressor,
                schema,
                parquet.getAllocator(),
                parquet.getColumnIndexTruncateLength(),
                parquet.getPageWriteChecksumEnabled());
    }
}
