package lakehouse.rewrite;

import java.io.IOException;
import java.util.function.Consumer;
import org.apache.flink.core.memory.ManagedMemoryUseCase;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.operators.sort.BinaryExternalSorter;
import org.apache.flink.table.runtime.typeutils.BinaryRowDataSerializer;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.MutableObjectIterator;

/** Sorts rows in an operator's managed memory, and spills to disk what does not fit. */
final class RowSorter implements AutoCloseable {
    private static final int MEMORY_MIB = 64;
    private static final int MERGE_WAYS = 16;
    private static final int SPILL_BLOCK_BYTES = 64 * 1024;

    private final RowDataSerializer serializer;
    private final BinaryExternalSorter sorter;

    /**
     * @param task task of the operator, for which memory was reserved
     */
    RowSorter(StreamTask<?, ?> task, StreamConfig operator, RowType type, RowOrder order) {
        serializer = new RowDataSerializer(type);
        Environment environment = task.getEnvironment();
        sorter =
                new BinaryExternalSorter(
                        task,
                        environment.getMemoryManager(),
                        memory(environment, operator),
                        environment.getIOManager(),
                        serializer,
                        new BinaryRowDataSerializer(serializer.getArity()),
                        new SortKey(order),
                        order,
                        MERGE_WAYS,
                        true,
                        SPILL_BLOCK_BYTES,
                        true);
        sorter.startThreads();
    }

    /** Reserves the memory of a sorter for an operator. */
    static void reserve(SingleOutputStreamOperator<?> operator) {
        operator.getTransformation()
                .declareManagedMemoryUseCaseAtOperatorScope(
                        ManagedMemoryUseCase.OPERATOR, MEMORY_MIB);
    }

    private static long memory(Environment environment, StreamConfig operator) {
        return environment
                .getMemoryManager()
                .computeMemorySize(
                        operator.getManagedMemoryFractionOperatorUseCaseOfSlot(
                                ManagedMemoryUseCase.OPERATOR,
                                environment.getJobConfiguration(),
                                environment.getTaskManagerInfo().getConfiguration(),
                                environment.getUserCodeClassLoader().asClassLoader()));
    }

    void add(RowData row) throws IOException {
        sorter.write(row);
    }

    /** Passes on all rows in order. A row is only valid until the next one. */
    void forEach(Consumer<RowData> consumer) throws IOException {
        try {
            MutableObjectIterator<BinaryRowData> rows = sorter.getIterator();
            BinaryRowData row = new BinaryRowData(serializer.getArity());
            while ((row = rows.next(row)) != null) {
                consumer.accept(row);
            }
        } catch (InterruptedException error) {
            throw new IOException(error);
        }
    }

    @Override
    public void close() {
        sorter.close();
    }
}
