package lakehouse.statistics;

import java.util.ArrayList;
import java.util.List;
import org.apache.datasketches.common.Family;
import org.apache.datasketches.theta.UpdateSketch;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.Accessor;
import org.apache.iceberg.Schema;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.RowDataWrapper;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/**
 * One sketch per column as in the Puffin specification: of the Alpha family, updated with the bytes
 * of Iceberg's single-value serialization.
 */
final class ColumnSketches {
    private final RowDataWrapper row;
    private final List<Column> columns = new ArrayList<>();

    private record Column(Type type, Accessor<StructLike> value, UpdateSketch sketch) {}

    /**
     * @param schema schema of the rows
     */
    ColumnSketches(Schema schema, List<Integer> columns) {
        row = new RowDataWrapper(FlinkSchemaUtil.convert(schema), schema.asStruct());
        for (int id : columns) {
            Types.NestedField field = schema.findField(id);
            this.columns.add(
                    new Column(
                            field.type(),
                            schema.accessorForField(id),
                            UpdateSketch.builder().setFamily(Family.ALPHA).build()));
        }
    }

    void add(RowData values) {
        row.wrap(values);
        for (Column column : columns) {
            // The sketch ignores nulls, which have no bytes, and empty values.
            column.sketch.update(Conversions.toByteBuffer(column.type, column.value.get(row)));
        }
    }

    /** The sketch of the column at this index, in the compact form for merging and storing. */
    byte[] toBytes(int place) {
        return columns.get(place).sketch.compact().toByteArray();
    }
}
