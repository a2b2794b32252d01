package lakehouse.imports;

import java.nio.ByteBuffer;
import java.util.Comparator;
import java.util.Map;
import org.apache.iceberg.Metrics;
import org.apache.iceberg.transforms.Transforms;
import org.apache.iceberg.types.Comparators;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Type;

/**
 * The range of a column's values in one file, as far as its footer contains it.
 *
 * @param lower null if unknown
 * @param upper null if unknown
 * @param nulls null if unknown
 */
record ColumnRange(Type type, Object lower, Object upper, Long nulls, long rows) {
    static ColumnRange of(Type type, int column, Metrics whole) {
        return new ColumnRange(
                type,
                bound(type, column, whole.lowerBounds()),
                bound(type, column, whole.upperBounds()),
                whole.nullValueCounts().get(column),
                whole.recordCount());
    }

    private static Object bound(Type type, int column, Map<Integer, ByteBuffer> bounds) {
        ByteBuffer bound = bounds == null ? null : bounds.get(column);
        return bound == null ? null : Conversions.fromByteBuffer(type, bound);
    }

    /** Whether a row may have a value other than this one. */
    boolean contradicts(Object value) {
        if (value == null) {
            return nulls != null && nulls < rows;
        }
        if (nulls != null && nulls > 0) {
            return true;
        }
        if (lower == null || upper == null) {
            return false;
        }
        Comparator<Object> order = Comparators.forType(type.asPrimitiveType());
        int fromLower = order.compare(value, lower);
        int fromUpper = order.compare(value, upper);
        // Some writers truncate long texts.
        return type.typeId() == Type.TypeID.STRING
                ? fromLower < 0 || fromUpper > 0
                : fromLower != 0 || fromUpper != 0;
    }

    @Override
    public String toString() {
        return text(lower)
                + " to "
                + text(upper)
                + (nulls != null && nulls > 0 ? ", and NULL" : "");
    }

    private String text(Object bound) {
        return bound == null ? "unknown" : Transforms.identity().toHumanString(type, bound);
    }
}
