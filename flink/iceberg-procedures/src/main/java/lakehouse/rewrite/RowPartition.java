package lakehouse.rewrite;

import org.apache.flink.table.data.RowData;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.Table;
import org.apache.iceberg.flink.RowDataWrapper;

/** The partition of a row by the table's current spec. */
class RowPartition {
    private final PartitionKey key;
    private final RowDataWrapper wrapper;

    RowPartition(Table table) {
        key = new PartitionKey(table.spec(), table.schema());
        wrapper = new RowDataWrapper(StoredRows.type(table.schema()), table.schema().asStruct());
    }

    /** The key is only valid until the next row. */
    PartitionKey of(RowData row) {
        key.partition(wrapper.wrap(row));
        return key;
    }
}
