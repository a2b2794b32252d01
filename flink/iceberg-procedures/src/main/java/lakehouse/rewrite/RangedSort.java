package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.util.CloseableIterator;
import org.apache.flink.util.OutputTag;

/**
 * Sorts one group in several tasks, each with a range of the sort keys, so that their files do not
 * overlap. A preceding job samples the keys to determine the ranges.
 *
 * @param files reads and writes the rows
 * @param sampler samples sort keys
 */
record RangedSort(
        FileGroup group, GroupFiles files, RowOrder order, SampleOperator sampler, boolean verify) {
    private static final OutputTag<byte[]> PROGRESS =
            new OutputTag<>("progress", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

    /** Runs the sampling job under the job's name, then adds the sort to the job. */
    DataStream<byte[]> job(StreamExecutionEnvironment environment, JobPlan plan) throws Exception {
        int tasks = plan.tasks();
        KeyRanges ranges = new KeyRanges(order, sample(environment, plan), tasks);
        SingleOutputStreamOperator<RowData> rows =
                GroupNumbers.to(
                        new RangeReader(group, files, PROGRESS),
                        "read",
                        InternalTypeInfo.of(files.rowType()),
                        environment,
                        group.tasks().size(),
                        tasks);
        SingleOutputStreamOperator<byte[]> written =
                rows.partitionCustom((range, count) -> range, ranges::of)
                        .transform(
                                "sort and write",
                                PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                                new RangeWriter(group, files, order, verify, plan.attempt()))
                        .setParallelism(tasks);
        RowSorter.reserve(written);
        return rows.getSideOutput(PROGRESS)
                .union(written)
                .transform(
                        "add up",
                        PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                        new DigestSum(group.index()))
                .setParallelism(1);
    }

    private List<byte[]> sample(StreamExecutionEnvironment environment, JobPlan plan)
            throws Exception {
        List<byte[]> sample = new ArrayList<>();
        try (CloseableIterator<byte[]> drawn =
                GroupNumbers.to(
                                sampler,
                                "sample",
                                PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                                environment,
                                group.tasks().size(),
                                plan.tasks())
                        .executeAndCollect(plan.name())) {
            drawn.forEachRemaining(sample::add);
        }
        return sample;
    }
}
