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
 * One sketch for each column, as the Puffin specification has them: of the family Alpha, fed with
 * the bytes that Iceberg stores a single value in.
 */
final class ColumnSketches {
    private final RowDataWrapper row;
    private final List<Column> columns = new ArrayList<>();

    private record Column(Type type, Accessor<StructLike> value, UpdateSketch sketch) {}

    /**
     * @param schema of the rows
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
            // No value is no bytes, which the sketch passes over, as it does with empty ones.
            column.sketch.update(Conversions.toByteBuffer(column.type, column.value.get(row)));
        }
    }

    /** The sketch of the column at this place, in the form that can be merged and stored. */
    byte[] toBytes(int place) {
        return columns.get(place).sketch.compact().toByteArray();
    }
}
