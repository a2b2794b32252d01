package lakehouse.procedure;

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

    static void positive(String name, Number value) {
        if (value != null && value.longValue() <= 0) {
            throw new ValidationException(name + " => " + value + " is not above 0");
        }
    }
}
