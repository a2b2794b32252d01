package lakehouse.rewrite;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.BigIntType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.TimeType;
import org.apache.flink.table.types.logical.utils.LogicalTypeDuplicator;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.data.FlinkParquetReaders;
import org.apache.iceberg.flink.data.FlinkParquetWriters;
import org.apache.iceberg.flink.data.RowDataUtil;
import org.apache.iceberg.formats.FormatModelRegistry;
import org.apache.iceberg.parquet.ParquetFormatModel;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.TypeUtil;

/**
 * Rows with values as stored in files. Flink truncates TIME to milliseconds, so TIME is read here
 * as the BIGINT of microseconds that Parquet files contain; all other types are as in Iceberg's
 * Flink reader.
 */
final class StoredRows {
    /** Key in Iceberg's registry for the code that reads and writes such rows. */
    private interface InParquet extends RowData {}

    private static final Set<Type.TypeID> FOREIGN =
            EnumSet.of(
                    Type.TypeID.VARIANT,
                    Type.TypeID.UNKNOWN,
                    Type.TypeID.GEOMETRY,
                    Type.TypeID.GEOGRAPHY);

    private static final LogicalTypeDuplicator TIME_AS_BIGINT =
            new LogicalTypeDuplicator() {
                @Override
                public LogicalType visit(TimeType time) {
                    return new BigIntType(time.isNullable());
                }
            };

    static {
        FormatModelRegistry.register(
                ParquetFormatModel.create(
                        InParquet.class,
                        RowType.class,
                        (schema, file, type) ->
                                FlinkParquetWriters.buildWriter(type, PlainTimes.of(file)),
                        (schema, file, type, constants) ->
                                FlinkParquetReaders.buildReader(
                                        schema, PlainTimes.of(file), constants)));
    }

    private StoredRows() {}

    static RowType type(Schema schema) {
        return (RowType) FlinkSchemaUtil.convert(schema).accept(TIME_AS_BIGINT);
    }

    /** The partition's value, which files need not contain in each row. */
    static Object constant(Type type, Object value) {
        return type.typeId() == Type.TypeID.TIME ? value : RowDataUtil.convertConstant(type, value);
    }

    /** The key of these rows in the registry. */
    @SuppressWarnings("unchecked")
    static Class<RowData> in(FileFormat format) {
        return (Class<RowData>)
                (Class<?>) (format == FileFormat.PARQUET ? InParquet.class : RowData.class);
    }

    /** Rejects columns of types that Flink, or some of its versions, does not support. */
    static void checkTypes(Table table) {
        TypeUtil.indexById(table.schema().asStruct())
                .values()
                .forEach(
                        field -> {
                            if (FOREIGN.contains(field.type().typeId())) {
                                throw new ValidationException(
                                        "Table "
                                                + table.name()
                                                + " has column "
                                                + table.schema().findColumnName(field.fieldId())
                                                + " of type "
                                                + field.type()
                                                + ", which Flink cannot store without loss. Next:"
                                                + " rewrite the table with another engine");
                            }
                        });
    }

    /** Rejects TIME in formats other than Parquet, which only Flink's own reader supports. */
    static void check(Table table, Set<FileFormat> formats) {
        List<String> times =
                TypeUtil.indexById(table.schema().asStruct()).values().stream()
                        .filter(field -> field.type().typeId() == Type.TypeID.TIME)
                        .map(field -> table.schema().findColumnName(field.fieldId()))
                        .toList();
        Set<FileFormat> others = new TreeSet<>(formats);
        others.remove(FileFormat.PARQUET);
        if (!times.isEmpty() && !others.isEmpty()) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has times of day ("
                            + String.join(", ", times)
                            + ") and files of format "
                            + others
                            + ", in which Flink would truncate them to milliseconds. Next: rewrite"
                            + " the table in Parquet with another engine");
        }
    }
}
