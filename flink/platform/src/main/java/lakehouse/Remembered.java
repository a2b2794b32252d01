package lakehouse;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * A cache of recent results. Flink's planner inlines the expression of a view's column wherever the
 * column is used, so a field of a row is parsed ten times or more, and many rows have equal values.
 */
final class Remembered<T> {
    private static final int MOST = 4096;

    private final Function<String, T> read;
    private final Map<String, Optional<T>> values = new HashMap<>();

    Remembered(Function<String, T> read) {
        this.read = read;
    }

    T get(String text) {
        Optional<T> value = values.get(text);
        if (value == null) {
            value = Optional.ofNullable(read.apply(text));
            if (values.size() == MOST) {
                values.clear();
            }
            values.put(text, value);
        }
        return value.orElse(null);
    }
}
