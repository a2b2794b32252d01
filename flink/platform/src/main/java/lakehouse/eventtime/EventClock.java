package lakehouse.eventtime;

import java.util.Arrays;
import org.apache.flink.table.data.TimestampData;

/**
 * How far the event time of one Kafka partition has advanced: the third-latest of its last 32 event
 * times, and never less than before. So up to two stray dates among 32 events do not move it, nor
 * does a date more than a day after the event's arrival. An event without a time counts as one of
 * 1970. Times are epoch milliseconds.
 */
final class EventClock {
    static final long UNKNOWN = 0;

    private static final int EVENTS = 32;
    private static final int RANK = 3;
    private static final long AHEAD_OF_ARRIVAL = 86_400_000L;

    private final long[] last = new long[EVENTS];
    private long events;
    private long time = UNKNOWN;
    private long lastArrival;

    void advance(TimestampData at, TimestampData arrived) {
        long eventTime = at == null ? UNKNOWN : at.getMillisecond();
        long arrival = arrived.getMillisecond();
        lastArrival = Math.max(lastArrival, arrival);
        if (eventTime > arrival + AHEAD_OF_ARRIVAL) {
            return;
        }
        last[(int) (events++ % EVENTS)] = eventTime;
        if (eventTime > time && events >= RANK) {
            time = Math.max(time, thirdLatest());
        }
    }

    long time() {
        return time;
    }

    long lastArrival() {
        return lastArrival;
    }

    private long thirdLatest() {
        long[] sorted = Arrays.copyOf(last, (int) Math.min(events, EVENTS));
        Arrays.sort(sorted);
        return sorted[sorted.length - RANK];
    }
}
