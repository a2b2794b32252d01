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
 * Takes the number of a group, writes what its files hold into new files, and reads those again.
 *
 * <p>All in one operator: rows never cross the network, and the job fits one slot.
 */
abstract class GroupOperator<T extends GroupTask> extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<Long, byte[]> {
    private static final long serialVersionUID = 1L;

    /** New files, and digests of what was read and of what they hold. */
    record Rewritten(
            List<? extends ContentFile<?>> files, RowDigest.Value before, RowDigest.Value after) {}

    private final List<T> tasks;

    private final int attempt;

    /**
     * @param attempt stands in the name of each file
     */
    GroupOperator(List<T> tasks, int attempt) {
        this.tasks = tasks;
        this.attempt = attempt;
    }

    /**
     * Gives the groups to tasks.
     *
     * @param most as many tasks at once, if there are as many groups
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

    /** Whether it needs memory to sort. */
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
