package lakehouse.rewrite;

import java.util.List;
import org.apache.iceberg.shaded.org.apache.parquet.schema.GroupType;
import org.apache.iceberg.shaded.org.apache.parquet.schema.LogicalTypeAnnotation.TimeLogicalTypeAnnotation;
import org.apache.iceberg.shaded.org.apache.parquet.schema.LogicalTypeAnnotation.TimeUnit;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageType;
import org.apache.iceberg.shaded.org.apache.parquet.schema.PrimitiveType;
import org.apache.iceberg.shaded.org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.iceberg.shaded.org.apache.parquet.schema.Type;

/** The schema of a Parquet file with times of day as plain INT64. */
final class PlainTimes {
    private PlainTimes() {}

    static MessageType of(MessageType file) {
        return new MessageType(file.getName(), fields(file));
    }

    private static List<Type> fields(GroupType group) {
        return group.getFields().stream().map(PlainTimes::plain).toList();
    }

    private static Type plain(Type type) {
        if (!type.isPrimitive()) {
            return type.asGroupType().withNewFields(fields(type.asGroupType()));
        }
        if (type.getLogicalTypeAnnotation() instanceof TimeLogicalTypeAnnotation time
                && time.getUnit() == TimeUnit.MICROS) {
            PrimitiveType number =
                    new PrimitiveType(
                            type.getRepetition(), PrimitiveTypeName.INT64, type.getName());
            return type.getId() == null ? number : number.withId(type.getId().intValue());
        }
        return type;
    }
}
