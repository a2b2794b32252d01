package lakehouse.procedure;

import java.time.Duration;

/** How long a call took, as its result row says it: in seconds, to the millisecond. */
final class Seconds {
    private Seconds() {}

    /**
     * @param started {@link System#nanoTime()} at the beginning
     */
    static double since(long started) {
        return Duration.ofNanos(System.nanoTime() - started).toMillis() / 1000.0;
    }
}
