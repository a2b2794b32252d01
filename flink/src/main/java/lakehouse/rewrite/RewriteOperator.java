package lakehouse.rewrite;

import org.apache.flink.core.memory.ManagedMemoryUseCase;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.operators.sort.BinaryExternalSorter;
import org.apache.flink.table.runtime.typeutils.BinaryRowDataSerializer;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.ExceptionUtils;
import org.apache.flink.util.MutableObjectIterator;
import org.apache.iceberg.DataFile;

import java.io.IOException;
import java.util.List;
import java.util.function.Consumer;

/**
 * Takes the index of a group, writes its rows into new files, and reads those again.
 *
 * <p>All in one operator: rows never cross the network, and the job fits one slot.
 */
class RewriteOperator extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<Long, byte[]> {
    private static final long serialVersionUID = 1L;

    private static final int SORT_MERGE_WAYS = 16;
    private static final int SPILL_BLOCK_BYTES = 64 * 1024;

    private final List<FileGroup> groups;
    private final GroupFiles files;
    private final RowOrder order;
    private final boolean verify;

    RewriteOperator(List<FileGroup> groups, GroupFiles files, RowOrder order, boolean verify) {
        this.groups = groups;
        this.files = files;
        this.order = order;
        this.verify = verify;
    }

    @Override
    public void processElement(StreamRecord<Long> element) throws Exception {
        FileGroup group = groups.get(element.getValue().intValue());
        try {
            rewrite(group);
        } catch (Exception error) {
            ExceptionUtils.rethrowIfFatalErrorOrOOM(error);
            if (getContainingTask().isCanceled()
                    || ExceptionUtils.findThrowable(error, InterruptedException.class)
                            .isPresent()) {
                throw error;
            }
            LOG.warn("Group {} of {} cannot be rewritten", group.index(), group.partition(), error);
            emit(new Progress.Failed(group.index(), Errors.root(error)));
        }
    }

    private void rewrite(FileGroup group) throws IOException {
        RowDigest before = new RowDigest(files.rowType());
        int attempt = getRuntimeContext().getTaskInfo().getAttemptNumber();
        List<DataFile> written =
                files.write(
                        group,
                        attempt,
                        rows -> {
                            if (order.isNone() && !group.scattered()) {
                                files.read(
                                        group.tasks(),
                                        row -> {
                                            before.add(row);
                                            rows.accept(row);
                                        });
                            } else {
                                sorted(group, before, rows);
                            }
                        });
        RowDigest.Value after = verify ? files.digest(written) : before.value();
        for (DataFile file : written) {
            emit(new Progress.Written(group.index(), file));
        }
        emit(new Progress.Done(group.index(), before.value(), after));
    }

    private void sorted(FileGroup group, RowDigest before, Consumer<RowData> rows)
            throws IOException {
        PartitionNumbers numbers =
                group.scattered() ? new PartitionNumbers(files.partition()) : null;
        RowType type =
                numbers == null ? files.rowType() : PartitionNumbers.type(files.rowType());
        RowOrder by = numbers == null ? order : order.afterLast(type);
        RowDataSerializer serializer = new RowDataSerializer(type);
        Environment environment = getContainingTask().getEnvironment();
        BinaryExternalSorter sorter =
                new BinaryExternalSorter(
                        getContainingTask(),
                        environment.getMemoryManager(),
                        sortMemory(environment),
                        environment.getIOManager(),
                        serializer,
                        new BinaryRowDataSerializer(serializer.getArity()),
                        new SortKey(by),
                        by,
                        SORT_MERGE_WAYS,
                        true,
                        SPILL_BLOCK_BYTES,
                        true);
        try {
            sorter.startThreads();
            files.read(
                    group.tasks(),
                    row -> {
                        before.add(row);
                        sorter.write(numbers == null ? row : numbers.add(row));
                    });
            MutableObjectIterator<BinaryRowData> iterator = sorter.getIterator();
            BinaryRowData row = new BinaryRowData(serializer.getArity());
            while ((row = iterator.next(row)) != null) {
                rows.accept(row);
            }
        } catch (InterruptedException error) {
            throw new IOException(error);
        } finally {
            sorter.close();
        }
    }

    private long sortMemory(Environment environment) {
        return environment
                .getMemoryManager()
                .computeMemorySize(
                        getOperatorConfig()
                                .getManagedMemoryFractionOperatorUseCaseOfSlot(
                                        ManagedMemoryUseCase.OPERATOR,
                                        environment.getJobConfiguration(),
                                        environment.getTaskManagerInfo().getConfiguration(),
                                        environment.getUserCodeClassLoader().asClassLoader()));
    }

    private void emit(Progress progress) throws IOException {
        output.collect(new StreamRecord<>(progress.toBytes()));
    }
}
