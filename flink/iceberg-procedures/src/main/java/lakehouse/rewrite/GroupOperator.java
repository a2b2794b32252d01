package lakehouse.rewrite;

import java.io.IOException;
import java.util.List;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.ExceptionUtils;
import org.apache.iceberg.ContentFile;

/**
 * Receives the number of a group, rewrites its files into new ones, and reads these back.
 *
 * <p>All in one operator, so that rows never cross the network and the job fits into one slot.
 */
abstract class GroupOperator<T extends GroupTask> extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<Long, byte[]> {
    private static final long serialVersionUID = 1L;

    /** The new files, and the digests of the rows read and of the new files. */
    record Rewritten(
            List<? extends ContentFile<?>> files, RowDigest.Value before, RowDigest.Value after) {}

    private final List<T> tasks;

    private final int attempt;

    /**
     * @param attempt part of each file's name
     */
    GroupOperator(List<T> tasks, int attempt) {
        this.tasks = tasks;
        this.attempt = attempt;
    }

    /**
     * Distributes the groups among tasks.
     *
     * @param most maximum number of concurrent tasks
     */
    DataStream<byte[]> on(StreamExecutionEnvironment environment, int most) {
        SingleOutputStreamOperator<byte[]> rewritten =
                GroupNumbers.to(
                        this,
                        "rewrite",
                        PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                        environment,
                        tasks.size(),
                        Math.min(most, tasks.size()));
        if (sorts()) {
            RowSorter.reserve(rewritten);
        }
        return rewritten;
    }

    /** Whether it needs memory for sorting. */
    boolean sorts() {
        return false;
    }

    abstract Rewritten rewrite(T task, int attempt) throws IOException;

    @Override
    public void processElement(StreamRecord<Long> element) throws Exception {
        T task = tasks.get(element.getValue().intValue());
        try {
            Rewritten done = rewrite(task, attempt);
            for (ContentFile<?> file : done.files()) {
                emit(new Progress.Written(task.index(), file));
            }
            emit(new Progress.Done(task.index(), done.before(), done.after()));
        } catch (Exception error) {
            ExceptionUtils.rethrowIfFatalErrorOrOOM(error);
            if (getContainingTask().isCanceled()
                    || ExceptionUtils.findThrowable(error, InterruptedException.class)
                            .isPresent()) {
                throw error;
            }
            LOG.warn("Group {} cannot be rewritten", task.index(), error);
            emit(new Progress.Failed(task.index(), Errors.root(error)));
        }
    }

    private void emit(Progress progress) throws IOException {
        output.collect(new StreamRecord<>(progress.toBytes()));
    }
}
