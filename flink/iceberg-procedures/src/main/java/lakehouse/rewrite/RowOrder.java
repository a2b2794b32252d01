package lakehouse.rewrite;

import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.generated.RecordComparator;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.NullOrder;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SortDirection;
import org.apache.iceberg.SortOrder;

/**
 * Compares rows by an Iceberg sort order: strings and binary values bytewise, NaN greater than all
 * numbers.
 */
class RowOrder implements RecordComparator {
    private static final long serialVersionUID = 1L;

    /** A column to compare by. */
    record Column(
            int position,
            LogicalType type,
            boolean descending,
            boolean nullsFirst,
            RowData.FieldGetter getter)
            implements Serializable {
        int compare(RowData left, RowData right) {
            Object first = getter.getFieldOrNull(left);
            Object second = getter.getFieldOrNull(right);
            if (first == null || second == null) {
                int order = Boolean.compare(second == null, first == null);
                return nullsFirst ? order : -order;
            }
            return descending ? compareValues(second, first) : compareValues(first, second);
        }

        @SuppressWarnings("unchecked")
        private static int compareValues(Object first, Object second) {
            return first instanceof byte[] bytes
                    ? Arrays.compareUnsigned(bytes, (byte[]) second)
                    : ((Comparable<Object>) first).compareTo(second);
        }
    }

    private final List<Column> columns;

    /**
     * @param order may have no columns, which leaves the rows in their order
     */
    RowOrder(SortOrder order, Schema schema, RowType type) {
        this(
                order.fields().stream()
                        .map(
                                field ->
                                        column(
                                                type,
                                                type.getFieldNames()
                                                        .indexOf(
                                                                schema.findColumnName(
                                                                        field.sourceId())),
                                                field.direction() == SortDirection.DESC,
                                                field.nullOrder() == NullOrder.NULLS_FIRST))
                        .toList());
    }

    private RowOrder(List<Column> columns) {
        this.columns = columns;
    }

    private static Column column(
            RowType type, int position, boolean descending, boolean nullsFirst) {
        LogicalType column = type.getTypeAt(position);
        return new Column(
                position,
                column,
                descending,
                nullsFirst,
                RowData.createFieldGetter(column.copy(true), position));
    }

    /**
     * This order, preceded by the rows' last field.
     *
     * @param type type of the rows with the field
     */
    RowOrder afterLast(RowType type) {
        Column last = column(type, type.getFieldCount() - 1, false, true);
        return new RowOrder(Stream.concat(Stream.of(last), columns.stream()).toList());
    }

    /** The same order for rows with only its columns, of type {@link #keyType()}. */
    RowOrder ofKeys() {
        RowType type = keyType();
        return new RowOrder(
                IntStream.range(0, columns.size())
                        .mapToObj(
                                i ->
                                        column(
                                                type,
                                                i,
                                                columns.get(i).descending(),
                                                columns.get(i).nullsFirst()))
                        .toList());
    }

    RowType keyType() {
        return RowType.of(columns.stream().map(Column::type).toArray(LogicalType[]::new));
    }

    /** The positions of its columns in the rows. */
    int[] positions() {
        return columns.stream().mapToInt(Column::position).toArray();
    }

    boolean isNone() {
        return columns.isEmpty();
    }

    List<Column> columns() {
        return columns;
    }

    @Override
    public int compare(RowData left, RowData right) {
        for (Column column : columns) {
            int order = column.compare(left, right);
            if (order != 0) {
                return order;
            }
        }
        return 0;
    }
}
