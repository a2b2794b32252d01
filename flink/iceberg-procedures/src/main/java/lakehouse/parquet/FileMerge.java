package lakehouse.parquet;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.encryption.EncryptedOutputFile;
import org.apache.iceberg.encryption.PlaintextEncryptionManager;
import org.apache.iceberg.parquet.ParquetAccess;
import org.apache.iceberg.parquet.ParquetSchemaUtil;
import org.apache.iceberg.parquet.WriteSettings;
import org.apache.iceberg.shaded.org.apache.parquet.VersionParser;
import org.apache.iceberg.shaded.org.apache.parquet.VersionParser.ParsedVersion;
import org.apache.iceberg.shaded.org.apache.parquet.VersionParser.VersionParseException;
import org.apache.iceberg.shaded.org.apache.parquet.column.page.PageReadStore;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.metadata.FileMetaData;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageType;

/**
 * Merges Parquet files that have a table's current columns into larger ones, with their rows in the
 * same order. It works column by column without assembling rows, which takes half as long.
 */
public final class FileMerge {
    private final Table table;
    private final SortOrder order;
    private final WriteSettings settings;
    private final MessageType schema;

    /**
     * @param order sort order recorded for the new files
     */
    public FileMerge(Table table, SortOrder order) {
        this.table = table;
        this.order = order;
        this.settings = new WriteSettings(table.properties());
        this.schema = ParquetSchemaUtil.convert(table.schema(), "table");
    }

    /**
     * The contents of files.
     *
     * @param digest digest of all values, in order, per row group
     */
    public record Content(long rows, long digest) {}

    public record Merged(List<DataFile> files, Content content) {}

    /**
     * @param partition the partition of all rows
     * @param maxFileSize maximum size of a new file, in bytes; a single row group may exceed it
     * @param outputs provides the new files
     * @return empty if the files must be rewritten row by row, because of a file's columns or the
     *     table's properties
     */
    public Optional<Merged> merge(
            List<DataFile> files,
            StructLike partition,
            long maxFileSize,
            Supplier<EncryptedOutputFile> outputs)
            throws IOException {
        boolean isParquet = files.stream().allMatch(file -> file.format() == FileFormat.PARQUET);
        if (!isParquet
                || !settings.isSupported()
                || !(table.encryption() instanceof PlaintextEncryptionManager)) {
            return Optional.empty();
        }
        try (Writer writer = new Writer(partition, maxFileSize, outputs)) {
            for (DataFile file : files) {
                try (ParquetFileReader reader = open(file)) {
                    FileMetaData footer = reader.getFileMetaData();
                    if (!schema.getFields().equals(footer.getSchema().getFields())) {
                        return Optional.empty();
                    }
                    writer.addAll(reader);
                }
            }
            return Optional.of(writer.complete());
        }
    }

    /** Reads all values of files written by a merge. */
    public Content content(List<DataFile> files) throws IOException {
        long rows = 0;
        long digest = 0;
        for (DataFile file : files) {
            try (ParquetFileReader reader = open(file)) {
                ParsedVersion writtenBy = writtenBy(reader);
                for (PageReadStore group; (group = reader.readNextRowGroup()) != null; ) {
                    List<ColumnValues> columns = new ArrayList<>();
                    for (var column : reader.getFileMetaData().getSchema().getColumns()) {
                        ColumnValues values = new ColumnValues(column);
                        values.take(group, writtenBy);
                        columns.add(values);
                    }
                    rows += group.getRowCount();
                    digest += RowGroup.digest(columns);
                }
            }
        }
        return new Content(rows, digest);
    }

    private ParquetFileReader open(DataFile file) throws IOException {
        return ParquetAccess.reader(table.io().newInputFile(file));
    }

    private static ParsedVersion writtenBy(ParquetFileReader reader) {
        try {
            return VersionParser.parse(reader.getFileMetaData().getCreatedBy());
        } catch (RuntimeException | VersionParseException unknown) {
            return null;
        }
    }

    /** Starts a new file when one is full. */
    private class Writer implements AutoCloseable {
        private final StructLike partition;
        private final long maxFileSize;
        private final Supplier<EncryptedOutputFile> outputs;
        private final List<DataFile> complete = new ArrayList<>();
        private MergedFile current;
        private long rows;
        private long digest;
        private boolean isDone;

        Writer(StructLike partition, long maxFileSize, Supplier<EncryptedOutputFile> outputs) {
            this.partition = partition;
            this.maxFileSize = maxFileSize;
            this.outputs = outputs;
        }

        void addAll(ParquetFileReader reader) throws IOException {
            ParsedVersion writtenBy = writtenBy(reader);
            for (var block : reader.getRowGroups()) {
                if (current != null && current.size() + block.getCompressedSize() > maxFileSize) {
                    completeFile();
                }
                if (current == null) {
                    current = new MergedFile(table, settings, schema, outputs.get());
                }
                PageReadStore group = reader.readNextRowGroup();
                rows += group.getRowCount();
                current.add(group, writtenBy);
            }
        }

        private void completeFile() throws IOException {
            complete.add(current.complete(table.spec(), partition, order));
            digest += current.digest();
            current = null;
        }

        Merged complete() throws IOException {
            if (current != null) {
                completeFile();
            }
            isDone = true;
            return new Merged(List.copyOf(complete), new Content(rows, digest));
        }

        @Override
        public void close() throws IOException {
            if (current != null) {
                current.close();
            }
            if (!isDone) {
                complete.forEach(file -> table.io().deleteFile(file.location()));
            }
        }
    }
}
