package lakehouse.rewrite;

import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.utils.JoinedRowData;
import org.apache.flink.table.types.logical.IntType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.PartitionKey;

/**
 * Adds the number of their partition to rows, to sort by it: then each file is complete before the
 * next one is opened.
 */
class PartitionNumbers {
    private final RowPartition partition;
    private final Map<PartitionKey, Integer> numbers = new HashMap<>();
    private final GenericRowData number = new GenericRowData(1);
    private final JoinedRowData numbered = new JoinedRowData();

    PartitionNumbers(RowPartition partition) {
        this.partition = partition;
    }

    static RowType type(RowType rows) {
        return RowType.of(
                Stream.concat(rows.getChildren().stream(), Stream.of(new IntType()))
                        .toArray(LogicalType[]::new));
    }

    /** The row is only valid until the next one. */
    RowData add(RowData row) {
        PartitionKey key = partition.of(row);
        Integer known = numbers.get(key);
        if (known == null) {
            known = numbers.size();
            numbers.put(key.copy(), known);
        }
        number.setField(0, known);
        return numbered.replace(row, number);
    }
}
