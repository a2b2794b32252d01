package lakehouse.procedure;

import lakehouse.protection.Protection;

import org.apache.flink.table.api.ValidationException;

/** Checks of what procedures are given; each refusal names the argument and the value. */
final class Arguments {
    private Arguments() {}

    static <T> T or(T value, T otherwise) {
        return value == null ? otherwise : value;
    }

    static String given(String name, String value) {
        if (value == null || value.isBlank()) {
            throw new ValidationException(name + " => '...' is needed");
        }
        return value;
    }

    static void knownOrIgnored(Protection protection, Boolean ignore) {
        if (!or(ignore, false) && !protection.unknown().isEmpty()) {
            throw new ValidationException(
                    "What must be kept is not known: "
                            + String.join("; ", protection.unknown())
                            + ". To go on without it: ignore_unknown_positions => true");
        }
    }

    static void positive(String name, Number value) {
        if (value != null && value.longValue() <= 0) {
            throw new ValidationException(name + " => " + value + " is not above 0");
        }
    }
}
