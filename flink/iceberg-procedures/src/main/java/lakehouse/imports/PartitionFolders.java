package lakehouse.imports;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.PartitionData;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Table;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/** Partitions from folder names in Hive's style: {@code day=2024-01-05/hour=3}. */
final class PartitionFolders {
    /** Hive's name for NULL. */
    private static final String NULL = "__HIVE_DEFAULT_PARTITION__";

    private final Table table;
    private final PartitionSpec spec;

    /**
     * The position of each partition column in a partition's values; columns that were removed from
     * the spec are not included.
     */
    private final Map<String, Integer> places = new LinkedHashMap<>();

    private final Map<Integer, Object> filter = new HashMap<>();

    PartitionFolders(Table table, Map<String, String> filter) {
        this.table = table;
        this.spec = table.spec();
        for (int i = 0; i < spec.fields().size(); i++) {
            PartitionField field = spec.fields().get(i);
            String column = table.schema().findColumnName(field.sourceId());
            if (field.transform().isIdentity()) {
                places.put(column, i);
            } else if (!field.transform().isVoid()) {
                throw new ValidationException(
                        "Table "
                                + table.name()
                                + " is partitioned by "
                                + field.transform()
                                + " of column "
                                + column
                                + ", which folder names do not contain: add_files supports only"
                                + " identity partitioning, and unpartitioned tables. Next: write"
                                + " the rows by INSERT instead");
            }
        }
        filter.forEach(
                (column, text) -> {
                    if (!places.containsKey(column)) {
                        throw new ValidationException(
                                "partition_filter => '"
                                        + column
                                        + "="
                                        + text
                                        + "': table "
                                        + table.name()
                                        + " is not partitioned by "
                                        + column
                                        + "; "
                                        + partitioning());
                    }
                    this.filter.put(places.get(column), value("partition_filter", column, text));
                });
    }

    private String partitioning() {
        return places.isEmpty() ? "it is unpartitioned" : "it is partitioned by " + places.keySet();
    }

    /**
     * The partition of a file.
     *
     * @param folders the folders between {@code path} and the file
     */
    PartitionData of(String file, List<String> folders) {
        Map<String, String> named = new HashMap<>();
        for (String folder : folders) {
            int sign = folder.indexOf('=');
            if (sign > 0) {
                named.put(unescaped(folder.substring(0, sign)), folder.substring(sign + 1));
            }
        }
        if (!named.keySet().equals(places.keySet())) {
            throw new ValidationException(
                    "File "
                            + file
                            + " is in folders of "
                            + (named.isEmpty() ? "no partition" : "partition " + named)
                            + ", which does not fit table "
                            + table.name()
                            + ": "
                            + partitioning()
                            + ". Nothing was added. Next: set path to the folder that contains the"
                            + " partitions' folders");
        }
        PartitionData partition = new PartitionData(spec.partitionType());
        named.forEach(
                (column, text) ->
                        partition.set(
                                places.get(column),
                                value("File " + file, column, unescaped(text))));
        return partition;
    }

    boolean wanted(PartitionData partition) {
        return filter.entrySet().stream()
                .allMatch(
                        wanted ->
                                Objects.equals(partition.get(wanted.getKey()), wanted.getValue()));
    }

    /** "+" is literal here, and characters that a path cannot contain are escaped as in "%3A". */
    private static String unescaped(String text) {
        try {
            return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException noEscape) {
            return text;
        }
    }

    private Object value(String where, String column, String text) {
        Types.NestedField field = table.schema().findField(column);
        try {
            if (text.equals(NULL)) {
                if (field.isRequired()) {
                    throw new IllegalArgumentException("the column is NOT NULL");
                }
                return null;
            }
            return value(field.type(), text);
        } catch (RuntimeException error) {
            throw new ValidationException(
                    where
                            + ": '"
                            + text
                            + "' is not a valid value of the partition column "
                            + column
                            + " of type "
                            + field.type()
                            + " ("
                            + error.getMessage()
                            + "). Nothing was added",
                    error);
        }
    }

    private static Object value(Type type, String text) {
        switch (type.typeId()) {
            case BOOLEAN:
                if (!text.equalsIgnoreCase("true") && !text.equalsIgnoreCase("false")) {
                    throw new IllegalArgumentException("neither true nor false");
                }
                return Boolean.valueOf(text);
            case DECIMAL:
                Types.DecimalType decimal = (Types.DecimalType) type;
                BigDecimal number =
                        new BigDecimal(text).setScale(decimal.scale(), RoundingMode.UNNECESSARY);
                if (number.precision() > decimal.precision()) {
                    throw new IllegalArgumentException("too many digits");
                }
                return number;
            case INTEGER:
            case LONG:
            case FLOAT:
            case DOUBLE:
            case STRING:
            case DATE:
            case UUID:
                return Conversions.fromPartitionString(type, text);
            default:
                throw new IllegalArgumentException("folders have no standard form for this type");
        }
    }
}
