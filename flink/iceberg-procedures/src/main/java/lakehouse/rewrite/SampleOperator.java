package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.iceberg.FileScanTask;

/** Receives numbers of files and emits the sort keys of a random sample of their rows. */
class SampleOperator extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<Long, byte[]> {
    private static final long serialVersionUID = 1L;

    /** Size of the sample from all files. */
    private static final int ROWS = 10_000;

    private final List<FileScanTask> tasks;
    private final GroupFiles keys;
    private final RowOrder order;
    private transient long rows;

    /**
     * @param keys reads only the columns of the sort order
     * @param order sort order of these rows
     */
    SampleOperator(List<FileScanTask> tasks, GroupFiles keys, RowOrder order) {
        this.tasks = tasks;
        this.keys = keys;
        this.order = order;
    }

    @Override
    public void open() throws Exception {
        super.open();
        rows = tasks.stream().mapToLong(FileScanTask::estimatedRowsCount).sum();
    }

    @Override
    public void processElement(StreamRecord<Long> element) throws Exception {
        int number = element.getValue().intValue();
        FileScanTask task = tasks.get(number);
        Reservoir reservoir = new Reservoir(size(task), number);
        KeyRanges.KeyBytes bytes = new KeyRanges.KeyBytes(order);
        keys.read(List.of(task), row -> reservoir.offer(() -> bytes.of(row)));
        for (byte[] key : reservoir.drawn) {
            output.collect(new StreamRecord<>(key));
        }
    }

    /** Samples each file in proportion to its number of rows. */
    private int size(FileScanTask task) {
        return (int) Math.max(1, ROWS * task.estimatedRowsCount() / Math.max(1, rows));
    }

    /** Keeps a fixed number of all offered keys, each with the same probability. */
    private static final class Reservoir {
        private final int size;
        private final Random random;
        private final List<byte[]> drawn = new ArrayList<>();
        private long seen;

        Reservoir(int size, long seed) {
            this.size = size;
            this.random = new Random(seed);
        }

        void offer(Supplier<byte[]> key) {
            long place = seen < size ? seen : random.nextLong(seen + 1);
            seen++;
            if (place == drawn.size()) {
                drawn.add(key.get());
            } else if (place < size) {
                drawn.set((int) place, key.get());
            }
        }
    }
}
