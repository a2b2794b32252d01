package lakehouse.parquet;

import java.util.function.DoubleConsumer;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.apache.iceberg.DoubleFieldMetrics;
import org.apache.iceberg.FieldMetrics;
import org.apache.iceberg.FloatFieldMetrics;
import org.apache.iceberg.shaded.org.apache.parquet.column.ColumnDescriptor;
import org.apache.iceberg.shaded.org.apache.parquet.schema.PrimitiveType;

/**
 * Bounds and number of NaNs of a floating-point column, which Parquet's footer does not contain.
 * Empty for columns of other types.
 */
final class FloatMetrics {
    private final DoubleConsumer values;
    private final Supplier<FieldMetrics<?>> ofValues;
    private long nulls;

    private FloatMetrics(DoubleConsumer values, Supplier<FieldMetrics<?>> ofValues) {
        this.values = values;
        this.ofValues = ofValues;
    }

    static FloatMetrics of(ColumnDescriptor column) {
        PrimitiveType type = column.getPrimitiveType();
        switch (type.getPrimitiveTypeName()) {
            case FLOAT -> {
                var floats = new FloatFieldMetrics.Builder(type.getId().intValue());
                return new FloatMetrics(value -> floats.addValue((float) value), floats::build);
            }
            case DOUBLE -> {
                var doubles = new DoubleFieldMetrics.Builder(type.getId().intValue());
                return new FloatMetrics(doubles::addValue, doubles::build);
            }
            default -> {
                return new FloatMetrics(value -> {}, () -> null);
            }
        }
    }

    void add(double value) {
        values.accept(value);
    }

    void addNull() {
        nulls++;
    }

    Stream<FieldMetrics<?>> result() {
        FieldMetrics<?> found = ofValues.get();
        return found == null
                ? Stream.empty()
                : Stream.of(
                        new FieldMetrics<>(
                                found.id(),
                                found.valueCount() + nulls,
                                nulls,
                                found.nanValueCount(),
                                found.lowerBound(),
                                found.upperBound()));
    }
}
