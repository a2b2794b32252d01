package lakehouse.rewrite;

import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.RegistryBasedFileWriterFactory;

/** Writers of a table's files. */
class RowWriters extends RegistryBasedFileWriterFactory<RowData, RowType> {
    private static final long serialVersionUID = 1L;

    /**
     * @param schema schema of the rows in data files
     * @param order sort order recorded for the files
     */
    RowWriters(Table table, Schema schema, FileFormat format, SortOrder order) {
        super(
                table,
                format,
                StoredRows.in(format),
                schema,
                order,
                format,
                null,
                null,
                null,
                table.properties(),
                StoredRows.type(schema),
                null);
    }
}
