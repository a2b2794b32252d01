package lakehouse;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.iceberg.Schema;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.TypeUtil;
import org.apache.iceberg.types.Types;

/** Random rows with every type that Flink supports and many edge cases. */
final class Values {
    private static final List<Type> OF_VERSION_2 =
            List.of(
                    Types.BooleanType.get(),
                    Types.IntegerType.get(),
                    Types.LongType.get(),
                    Types.FloatType.get(),
                    Types.DoubleType.get(),
                    Types.DecimalType.of(1, 0),
                    Types.DecimalType.of(9, 2),
                    Types.DecimalType.of(18, 18),
                    Types.DecimalType.of(19, 0),
                    Types.DecimalType.of(38, 10),
                    Types.DateType.get(),
                    Types.TimeType.get(),
                    Types.TimestampType.withoutZone(),
                    Types.TimestampType.withZone(),
                    Types.StringType.get(),
                    Types.UUIDType.get(),
                    Types.FixedType.ofLength(1),
                    Types.FixedType.ofLength(16),
                    Types.FixedType.ofLength(19),
                    Types.BinaryType.get());

    private static final List<Type> SINCE_VERSION_3 =
            List.of(Types.TimestampNanoType.withoutZone(), Types.TimestampNanoType.withZone());

    private final Random random;
    private final List<Type> types = new ArrayList<>(OF_VERSION_2);
    private int id;

    Values(Random random, int formatVersion) {
        this.random = random;
        if (formatVersion >= 3) {
            types.addAll(SINCE_VERSION_3);
        }
    }

    /**
     * Each type as an optional, a required and an always null column, and within a list, a map and
     * structs.
     */
    Schema schema() {
        List<Types.NestedField> columns = new ArrayList<>();
        for (Type type : types) {
            String name = type.toString().replaceAll("\\W+", "_");
            columns.add(Types.NestedField.optional(id++, "o_" + name, type));
            columns.add(Types.NestedField.required(id++, "r_" + name, type));
            columns.add(Types.NestedField.optional(id++, "never_" + name, type));
            columns.add(
                    Types.NestedField.optional(
                            id++, "l_" + name, Types.ListType.ofOptional(id++, type)));
            columns.add(
                    Types.NestedField.optional(
                            id++, "m_" + name, Types.MapType.ofOptional(id++, id++, type, type)));
        }
        columns.add(Types.NestedField.optional(id++, "s", struct()));
        columns.add(
                Types.NestedField.optional(id++, "ls", Types.ListType.ofOptional(id++, struct())));
        columns.add(
                Types.NestedField.optional(
                        id++,
                        "ms",
                        Types.MapType.ofOptional(id++, id++, Types.StringType.get(), struct())));
        return TypeUtil.assignIncreasingFreshIds(new Schema(columns));
    }

    private Types.StructType struct() {
        return Types.StructType.of(
                types.stream()
                        .map(
                                type ->
                                        Types.NestedField.optional(
                                                id++,
                                                type.toString().replaceAll("\\W+", "_"),
                                                type))
                        .toList());
    }

    Record row(Schema schema) {
        Record row = GenericRecord.create(schema);
        for (Types.NestedField column : schema.columns()) {
            if (!column.name().startsWith("never_")) {
                row.setField(column.name(), value(column.type(), column.isOptional()));
            }
        }
        return row;
    }

    @SafeVarargs
    private <T> T oneOf(T... values) {
        return values[random.nextInt(values.length)];
    }

    private Object value(Type type, boolean optional) {
        if (optional && random.nextInt(5) == 0) {
            return null;
        }
        int size = random.nextInt(3);
        switch (type.typeId()) {
            case BOOLEAN:
                return random.nextBoolean();
            case INTEGER:
                return oneOf(0, -1, Integer.MIN_VALUE, Integer.MAX_VALUE, random.nextInt());
            case LONG:
                return oneOf(0L, -1L, Long.MIN_VALUE, Long.MAX_VALUE, random.nextLong());
            case FLOAT:
                return oneOf(
                        0f,
                        -0f,
                        Float.NaN,
                        Float.intBitsToFloat(0x7FC00001),
                        Float.NEGATIVE_INFINITY,
                        Float.POSITIVE_INFINITY,
                        Float.MIN_VALUE,
                        random.nextFloat());
            case DOUBLE:
                return oneOf(
                        0d,
                        -0d,
                        Double.NaN,
                        Double.longBitsToDouble(0x7FF8000000000001L),
                        Double.NEGATIVE_INFINITY,
                        Double.POSITIVE_INFINITY,
                        Double.MIN_VALUE,
                        random.nextGaussian());
            case DECIMAL:
                Types.DecimalType decimal = (Types.DecimalType) type;
                BigInteger most = BigInteger.TEN.pow(decimal.precision()).subtract(BigInteger.ONE);
                return new BigDecimal(
                        oneOf(
                                BigInteger.ZERO,
                                most,
                                most.negate(),
                                new BigInteger(130, random).mod(most)),
                        decimal.scale());
            case DATE:
                return LocalDate.ofEpochDay(
                        oneOf(0, -1, -719_162, 2_932_896, -5_000_000, random.nextInt() / 1_000));
            case TIME:
                long day = 86_400_000_000L;
                return LocalTime.ofNanoOfDay(
                        1_000 * oneOf(0L, 1L, 999L, day - 1, random.nextLong(day)));
            case TIMESTAMP:
                LocalDateTime time =
                        LocalDateTime.of(
                                        oneOf(1, 1582, 1969, 1970, 9999, -9000),
                                        12,
                                        31,
                                        23,
                                        59,
                                        oneOf(0, 59))
                                .plusNanos(1_000L * oneOf(0, 1, 999, 999_999));
                return ((Types.TimestampType) type).shouldAdjustToUTC()
                        ? time.atOffset(ZoneOffset.UTC)
                        : time;
            case TIMESTAMP_NANO:
                LocalDateTime fine =
                        LocalDateTime.of(oneOf(1678, 1969, 1970, 2261), 12, 31, 23, 59, 59)
                                .plusNanos(oneOf(0, 1, 999, 1_000, 999_999_999));
                return ((Types.TimestampNanoType) type).shouldAdjustToUTC()
                        ? fine.atOffset(ZoneOffset.UTC)
                        : fine;
            case STRING:
                return oneOf("", "\0", "a", "ä€😀", "longer than what fits in eight bytes");
            case UUID:
                return oneOf(new UUID(0, 0), new UUID(-1, -1), new UUID(random.nextLong(), 7));
            case FIXED:
                byte[] fixed = new byte[((Types.FixedType) type).length()];
                random.nextBytes(fixed);
                return fixed;
            case BINARY:
                byte[] binary = new byte[oneOf(0, 1, 8, 30)];
                random.nextBytes(binary);
                return ByteBuffer.wrap(binary);
            case LIST:
                Type element = type.asListType().elementType();
                return IntStream.range(0, size)
                        .mapToObj(i -> value(element, true))
                        .collect(Collectors.toCollection(ArrayList::new));
            case MAP:
                Types.MapType map = type.asMapType();
                Map<Object, Object> entries = new HashMap<>();
                for (int i = 0; i < size; i++) {
                    entries.put(value(map.keyType(), false), value(map.valueType(), true));
                }
                return entries;
            default:
                Record struct = GenericRecord.create(type.asStructType());
                for (Types.NestedField field : type.asStructType().fields()) {
                    struct.setField(field.name(), value(field.type(), true));
                }
                return struct;
        }
    }

    /** A text that is different for different values. */
    static String text(Object value) {
        if (value instanceof Record row) {
            return row.struct().fields().stream()
                    .map(field -> field.name() + "=" + text(row.getField(field.name())))
                    .collect(Collectors.joining("\n", "{", "}"));
        }
        if (value instanceof List<?> list) {
            return list.stream().map(Values::text).collect(Collectors.joining(", ", "[", "]"));
        }
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream()
                    .map(entry -> text(entry.getKey()) + ": " + text(entry.getValue()))
                    .sorted()
                    .collect(Collectors.joining(", ", "(", ")"));
        }
        if (value instanceof Float number) {
            return Integer.toHexString(Float.floatToRawIntBits(number));
        }
        if (value instanceof Double number) {
            return Long.toHexString(Double.doubleToRawLongBits(number));
        }
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof ByteBuffer bytes) {
            byte[] copy = new byte[bytes.remaining()];
            bytes.duplicate().get(copy);
            return "0x" + HexFormat.of().formatHex(copy);
        }
        return value instanceof String ? "'" + value + "'" : String.valueOf(value);
    }
}
