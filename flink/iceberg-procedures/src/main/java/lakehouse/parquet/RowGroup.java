package lakehouse.parquet;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.iceberg.parquet.WriteSettings;
import org.apache.iceberg.shaded.org.apache.parquet.VersionParser.ParsedVersion;
import org.apache.iceberg.shaded.org.apache.parquet.column.ColumnDescriptor;
import org.apache.iceberg.shaded.org.apache.parquet.column.ColumnWriteStore;
import org.apache.iceberg.shaded.org.apache.parquet.column.page.PageReadStore;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ColumnChunkPageWriteStore;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.iceberg.shaded.org.apache.parquet.schema.GroupType;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageType;
import org.apache.iceberg.shaded.org.apache.parquet.schema.Type;

/**
 * A row group being written. Each column has its own page store, so that columns can be written one
 * after another.
 */
final class RowGroup {
    private final ColumnChunkPageWriteStore pages;
    private final List<ColumnWriteStore> stores = new ArrayList<>();
    private final List<ColumnValues> columns = new ArrayList<>();
    private long rows;

    /**
     * @param metrics metrics of each column
     */
    RowGroup(WriteSettings settings, MessageType schema, List<FloatMetrics> metrics) {
        pages = settings.pages(schema);
        List<ColumnDescriptor> all = schema.getColumns();
        for (int i = 0; i < all.size(); i++) {
            MessageType alone =
                    new MessageType(schema.getName(), only(schema, all.get(i).getPath(), 0));
            ColumnWriteStore store = settings.parquet().newColumnWriteStore(alone, pages);
            stores.add(store);
            columns.add(new ColumnValues(all.get(i), store, metrics.get(i)));
        }
    }

    /** The path in the schema to one column. */
    private static Type only(GroupType parent, String[] path, int depth) {
        Type child = parent.getType(path[depth]);
        return child.isPrimitive()
                ? child
                : child.asGroupType().withNewFields(only(child.asGroupType(), path, depth + 1));
    }

    void add(PageReadStore rowGroup, ParsedVersion writtenBy) {
        columns.forEach(column -> column.take(rowGroup, writtenBy));
        rows += rowGroup.getRowCount();
    }

    long rows() {
        return rows;
    }

    /** Approximate size in a file, in bytes. */
    long size() {
        return stores.stream().mapToLong(ColumnWriteStore::getBufferedSize).sum();
    }

    /** Digest of all values, column by column. */
    static long digest(List<ColumnValues> columns) {
        return IntStream.range(0, columns.size())
                .mapToLong(i -> columns.get(i).digest() * (2L * i + 1))
                .sum();
    }

    /** Writes it to a file and returns the digest of its values. */
    long writeTo(ParquetFileWriter file) throws IOException {
        file.startBlock(rows);
        stores.forEach(ColumnWriteStore::flush);
        pages.flushToFileWriter(file);
        file.endBlock();
        return digest(columns);
    }
}
