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
     * Types that Flink reads without loss: it truncates TIME to milliseconds, which would change
     * the number of distinct values.
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

    /** The IDs of these columns; if null, of all top-level columns that can have statistics. */
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
                            + " has no column of a type that statistics support: "
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
                            + "' is not a column of table "
                            + table.name()
                            + "; the columns are "
                            + schema.columns().stream().map(Types.NestedField::name).toList());
        }
        // A field within an array or a map does not have one value per row.
        if (!TYPES.contains(column.type().typeId())
                || schema.accessorForField(column.fieldId()) == null) {
            throw new ValidationException(
                    "columns => '"
                            + name
                            + "' of type "
                            + column.type()
                            + " cannot have statistics; supported are columns and fields of rows,"
                            + " of the types "
                            + TYPES);
        }
        return column.fieldId();
    }
}
