package lakehouse.eventtime;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * STREAM_WATERMARK(kafka_partition, event_time, arrival, disorder, partitions, idle): the watermark
 * of the whole stream when the event arrived, as TIMESTAMP(6): that of the slowest Kafka partition.
 * It never decreases. A partition without events for more than {@code idle} seconds, by the arrival
 * of the others' events, does not hold it back. 1970-01-01 until every partition is known or idle.
 */
public class StreamWatermark extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    private transient Map<Integer, EventClock> clocks;
    private transient int highest;
    private transient long firstArrival;
    private transient long lastArrival;
    private transient long time;

    @Override
    public void open(FunctionContext context) {
        clocks = new HashMap<>();
        highest = 0;
        firstArrival = Long.MAX_VALUE;
        lastArrival = Long.MIN_VALUE;
        time = EventClock.UNKNOWN;
    }

    public @DataTypeHint(value = "TIMESTAMP(6)", bridgedTo = TimestampData.class) TimestampData
            eval(
                    Integer partition,
                    @DataTypeHint(value = "TIMESTAMP(6)", bridgedTo = TimestampData.class)
                            TimestampData eventTime,
                    @DataTypeHint(value = "TIMESTAMP_LTZ(6)", bridgedTo = TimestampData.class)
                            TimestampData arrival,
                    Integer disorder,
                    Integer partitions,
                    Integer idle) {
        long arrived = arrival.getMillisecond();
        highest = Math.max(highest, partition);
        firstArrival = Math.min(firstArrival, arrived);
        lastArrival = Math.max(lastArrival, arrived);
        EventClock clock = clocks.computeIfAbsent(partition, number -> new EventClock());
        clock.advance(eventTime, arrival);
        time = Math.max(time, slowest(partitions, idle * 1000L));
        return PartitionWatermark.less(time, disorder);
    }

    private long slowest(int partitions, long idle) {
        int expected = Math.max(partitions, highest + 1);
        if (clocks.size() < expected && lastArrival - firstArrival <= idle) {
            return EventClock.UNKNOWN;
        }
        long slowest = Long.MAX_VALUE;
        for (EventClock clock : clocks.values()) {
            if (lastArrival - clock.lastArrival() <= idle) {
                slowest = Math.min(slowest, clock.time());
            }
        }
        return slowest;
    }

    @Override
    public boolean isDeterministic() {
        return false;
    }
}
