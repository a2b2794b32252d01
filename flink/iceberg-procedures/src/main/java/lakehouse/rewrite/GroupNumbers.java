package lakehouse.rewrite;

import java.util.Collection;
import java.util.stream.IntStream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.connector.source.lib.util.IteratorSourceEnumerator;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.transformations.PhysicalTransformation;

/**
 * The numbers from 0, each given to the next free task, because groups and files take different
 * times.
 */
final class GroupNumbers extends NumberSequenceSource {
    private static final long serialVersionUID = 1L;

    private final int count;

    private GroupNumbers(int count) {
        super(0, count - 1);
        this.count = count;
    }

    /**
     * Connects them to an operator with the given parallelism. The operator must be chained to the
     * source, else all numbers would queue in front of one task; before Flink 2 that does not
     * happen by default.
     */
    static <T> SingleOutputStreamOperator<T> to(
            OneInputStreamOperator<Long, T> operator,
            String name,
            TypeInformation<T> type,
            StreamExecutionEnvironment environment,
            int count,
            int tasks) {
        SingleOutputStreamOperator<T> transformed =
                environment
                        .fromSource(
                                new GroupNumbers(count),
                                WatermarkStrategy.noWatermarks(),
                                "numbers")
                        .setParallelism(tasks)
                        .transform(name, type, operator)
                        .setParallelism(tasks);
        ((PhysicalTransformation<T>) transformed.getTransformation())
                .setChainingStrategy(ChainingStrategy.ALWAYS);
        return transformed;
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
