package lakehouse.rewrite;

import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.RegistryBasedFileWriterFactory;

/** Writers of data files in the table's current schema. */
class RowWriters extends RegistryBasedFileWriterFactory<RowData, RowType> {
    private static final long serialVersionUID = 1L;

    /**
     * @param order what the files shall say about the order of their rows
     */
    RowWriters(Table table, FileFormat format, SortOrder order) {
        super(
                table,
                format,
                StoredRows.in(format),
                table.schema(),
                order,
                format,
                null,
                null,
                null,
                table.properties(),
                StoredRows.type(table.schema()),
                null);
    }
}
