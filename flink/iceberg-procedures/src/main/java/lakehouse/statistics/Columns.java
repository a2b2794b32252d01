package lakehouse.statistics;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.types.Type.TypeID;
import org.apache.iceberg.types.Types;

/** The columns that can have statistics. */
final class Columns {
    /**
     * Those whose values Flink gives as they are stored: TIME ends at milliseconds in Flink, so
     * that other values would be counted.
     */
    private static final Set<TypeID> TYPES =
            EnumSet.of(
                    TypeID.BOOLEAN,
                    TypeID.INTEGER,
                    TypeID.LONG,
                    TypeID.FLOAT,
                    TypeID.DOUBLE,
                    TypeID.DATE,
                    TypeID.TIMESTAMP,
                    TypeID.STRING,
                    TypeID.UUID,
                    TypeID.FIXED,
                    TypeID.BINARY,
                    TypeID.DECIMAL);

    private final Table table;
    private final Schema schema;

    Columns(Table table, Schema schema) {
        this.table = table;
        this.schema = schema;
    }

    /** The IDs of these; of all top-level columns that can have statistics if null. */
    List<Integer> ids(List<String> names) {
        List<Integer> ids =
                names == null
                        ? schema.columns().stream()
                                .filter(column -> TYPES.contains(column.type().typeId()))
                                .map(Types.NestedField::fieldId)
                                .toList()
                        : names.stream().map(this::id).distinct().toList();
        if (ids.isEmpty()) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has no column of a type that statistics are for: "
                            + TYPES);
        }
        return ids;
    }

    private int id(String name) {
        Types.NestedField column = schema.findField(name);
        if (column == null) {
            throw new ValidationException(
                    "columns => '"
                            + name
                            + "' is no column of table "
                            + table.name()
                            + "; the columns are "
                            + schema.columns().stream().map(Types.NestedField::name).toList());
        }
        // What lies in an array or a map has no one value in each row.
        if (!TYPES.contains(column.type().typeId())
                || schema.accessorForField(column.fieldId()) == null) {
            throw new ValidationException(
                    "columns => '"
                            + name
                            + "' of type "
                            + column.type()
                            + " can have no statistics; those are for columns and fields of rows, of"
                            + " types "
                            + TYPES);
        }
        return column.fieldId();
    }
}
