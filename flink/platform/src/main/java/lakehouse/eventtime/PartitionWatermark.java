package lakehouse.eventtime;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * PARTITION_WATERMARK(kafka_partition, event_time, arrival, disorder): the watermark of the event's
 * Kafka partition when the event arrived, as TIMESTAMP(6): how far event time has advanced there,
 * less the allowed disorder in seconds. 1970-01-01 until it is known, which takes three events.
 *
 * <p>It follows from the order of events in the partition, not from the order in which partitions
 * are read. It is not part of the job's state: after a restart, it is unknown again at first.
 */
public class PartitionWatermark extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    private transient Map<Integer, EventClock> clocks;

    @Override
    public void open(FunctionContext context) {
        clocks = new HashMap<>();
    }

    public @DataTypeHint(value = "TIMESTAMP(6)", bridgedTo = TimestampData.class) TimestampData
            eval(
                    Integer partition,
                    @DataTypeHint(value = "TIMESTAMP(6)", bridgedTo = TimestampData.class)
                            TimestampData eventTime,
                    @DataTypeHint(value = "TIMESTAMP_LTZ(6)", bridgedTo = TimestampData.class)
                            TimestampData arrival,
                    Integer disorder) {
        EventClock clock = clocks.computeIfAbsent(partition, number -> new EventClock());
        clock.advance(eventTime, arrival);
        return less(clock.time(), disorder);
    }

    static TimestampData less(long time, int disorder) {
        long watermark = Math.max(EventClock.UNKNOWN, time - disorder * 1000L);
        return TimestampData.fromEpochMillis(watermark);
    }

    @Override
    public boolean isDeterministic() {
        return false;
    }
}
