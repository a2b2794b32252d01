package lakehouse.procedure;

import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import lakehouse.protection.Protection;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.util.TimeUtils;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.util.PropertyUtil;

/** Validates the arguments of procedures; each error names the argument and its value. */
final class Arguments {
    private Arguments() {}

    static <T> T or(T value, T otherwise) {
        return value == null ? otherwise : value;
    }

    /** One of several choices, in upper or lower case. */
    static <T extends Enum<T>> T oneOf(String name, String value, T otherwise) {
        if (value == null) {
            return otherwise;
        }
        T[] choices = otherwise.getDeclaringClass().getEnumConstants();
        return Arrays.stream(choices)
                .filter(choice -> choice.name().equalsIgnoreCase(value))
                .findFirst()
                .orElseThrow(
                        () ->
                                new ValidationException(
                                        name
                                                + " => '"
                                                + value
                                                + "' is not one of "
                                                + Arrays.toString(choices)
                                                        .toLowerCase(Locale.ROOT)));
    }

    static String given(String name, String value) {
        if (value == null || value.isBlank()) {
            throw new ValidationException(name + " => '...' is needed");
        }
        return value;
    }

    static <T> T given(String name, T value) {
        if (value == null) {
            throw new ValidationException(name + " => is needed");
        }
        return value;
    }

    /** In Flink's format, such as '7 d' or '12 h'. */
    static Duration duration(String name, String value) {
        try {
            return value == null ? null : TimeUtils.parseDuration(value);
        } catch (IllegalArgumentException error) {
            throw new ValidationException(
                    name + " => '" + value + "' is not a duration such as '7 d' or '12 h'", error);
        }
    }

    static long number(String name, String value) {
        try {
            return Long.parseLong(value);
        } catch (NumberFormatException error) {
            throw new ValidationException(name + " => '" + value + "' is not an integer", error);
        }
    }

    /** Given as text, because procedures in Flink cannot have a map as an argument. */
    static Map<String, String> pairs(String name, String value) {
        Map<String, String> pairs = new HashMap<>();
        for (String pair : value == null ? new String[0] : value.split(",")) {
            String[] sides = pair.split("=", -1);
            if (sides.length != 2) {
                throw new ValidationException(
                        name + " => '" + value + "' is not of the form 'a=b,c=d'");
            }
            pairs.put(sides[0].strip(), sides[1].strip());
        }
        return pairs;
    }

    /**
     * Given as text, because Flink's planner fails on a call that omits an optional array; null if
     * omitted.
     */
    static List<String> names(String name, String value) {
        if (value == null) {
            return null;
        }
        List<String> names = Arrays.stream(value.split(",", -1)).map(String::strip).toList();
        if (names.contains("")) {
            throw new ValidationException(name + " => '" + value + "' is not of the form 'a,b'");
        }
        return names;
    }

    static void knownOrIgnored(Protection protection, Boolean ignore) {
        if (!or(ignore, false) && !protection.unknown().isEmpty()) {
            throw new ValidationException(
                    "It is unknown what must be kept: "
                            + String.join("; ", protection.unknown())
                            + ". To continue anyway: ignore_unknown_positions => true");
        }
    }

    /** Iceberg's property for a table that may share files with others, such as a clone of it. */
    static void mayLoseFiles(Table table) {
        if (!PropertyUtil.propertyAsBoolean(
                table.properties(),
                TableProperties.GC_ENABLED,
                TableProperties.GC_ENABLED_DEFAULT)) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has "
                            + TableProperties.GC_ENABLED
                            + "=false: it may share files with others, so none may be removed."
                            + " Next: set it to true if only this table uses the files");
        }
    }

    static void positive(String name, Number value) {
        if (value != null && value.longValue() <= 0) {
            throw new ValidationException(name + " => " + value + " is not greater than 0");
        }
    }
}
