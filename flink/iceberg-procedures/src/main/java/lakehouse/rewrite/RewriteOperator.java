package lakehouse.rewrite;

import org.apache.flink.core.memory.ManagedMemoryUseCase;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.operators.sort.BinaryExternalSorter;
import org.apache.flink.table.runtime.typeutils.BinaryRowDataSerializer;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.MutableObjectIterator;
import org.apache.iceberg.DataFile;

import java.io.IOException;
import java.util.List;
import java.util.function.Consumer;

/** Writes the rows of data files again, sorted on demand. */
class RewriteOperator extends GroupOperator<FileGroup> {
    private static final long serialVersionUID = 1L;

    private static final int SORT_MERGE_WAYS = 16;
    private static final int SPILL_BLOCK_BYTES = 64 * 1024;

    private final boolean sorts;
    private final GroupFiles files;
    private final RowOrder order;
    private final boolean verify;

    RewriteOperator(List<FileGroup> groups, GroupFiles files, RowOrder order, boolean verify) {
        super(groups);
        this.sorts = !order.isNone() || groups.stream().anyMatch(FileGroup::scattered);
        this.files = files;
        this.order = order;
        this.verify = verify;
    }

    @Override
    boolean sorts() {
        return sorts;
    }

    @Override
    Rewritten rewrite(FileGroup group, int attempt) throws IOException {
        RowDigest before = new RowDigest(files.rowType());
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
        return new Rewritten(written, before.value(), after);
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
}
