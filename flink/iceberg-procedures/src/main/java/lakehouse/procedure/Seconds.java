package lakehouse.procedure;

import java.time.Duration;

/** The duration of a call for its result row: in seconds, to the millisecond. */
final class Seconds {
    private Seconds() {}

    /**
     * @param started {@link System#nanoTime()} when the call began
     */
    static double since(long started) {
        return Duration.ofNanos(System.nanoTime() - started).toMillis() / 1000.0;
    }
}
