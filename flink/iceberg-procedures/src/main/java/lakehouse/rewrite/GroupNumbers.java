package lakehouse.rewrite;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.connector.source.lib.util.IteratorSourceEnumerator;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import java.util.Collection;
import java.util.stream.IntStream;

/** The numbers from 0 on, each handed to the next task that is free: groups, and files, take unlike times. */
final class GroupNumbers extends NumberSequenceSource {
    private static final long serialVersionUID = 1L;

    private final int count;

    private GroupNumbers(int count) {
        super(0, count - 1);
        this.count = count;
    }

    /** They, for so many tasks. */
    static DataStream<Long> stream(StreamExecutionEnvironment environment, int count, int tasks) {
        return environment
                .fromSource(
                        new GroupNumbers(count), WatermarkStrategy.noWatermarks(), "numbers")
                .setParallelism(tasks);
    }

    @Override
    public SplitEnumerator<NumberSequenceSplit, Collection<NumberSequenceSplit>> createEnumerator(
            SplitEnumeratorContext<NumberSequenceSplit> context) {
        return new IteratorSourceEnumerator<>(
                context,
                IntStream.range(0, count)
                        .mapToObj(i -> new NumberSequenceSplit(String.valueOf(i), i, i))
                        .toList());
    }
}
