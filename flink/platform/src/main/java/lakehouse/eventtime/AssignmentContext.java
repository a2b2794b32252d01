package lakehouse.eventtime;

import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;
import org.apache.flink.metrics.groups.SplitEnumeratorMetricGroup;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;

/** Counts what is assigned. */
class AssignmentContext implements SplitEnumeratorContext<IcebergSourceSplit> {
    private final SplitEnumeratorContext<IcebergSourceSplit> context;
    private long assignments;

    AssignmentContext(SplitEnumeratorContext<IcebergSourceSplit> context) {
        this.context = context;
    }

    long assignments() {
        return assignments;
    }

    @Override
    public void assignSplits(SplitsAssignment<IcebergSourceSplit> assigned) {
        assignments++;
        context.assignSplits(assigned);
    }

    @Override
    public SplitEnumeratorMetricGroup metricGroup() {
        return context.metricGroup();
    }

    @Override
    public void sendEventToSourceReader(int reader, SourceEvent event) {
        context.sendEventToSourceReader(reader, event);
    }

    @Override
    public void sendEventToSourceReader(int reader, int attempt, SourceEvent event) {
        context.sendEventToSourceReader(reader, attempt, event);
    }

    @Override
    public int currentParallelism() {
        return context.currentParallelism();
    }

    @Override
    public Map<Integer, ReaderInfo> registeredReaders() {
        return context.registeredReaders();
    }

    @Override
    public Map<Integer, Map<Integer, ReaderInfo>> registeredReadersOfAttempts() {
        return context.registeredReadersOfAttempts();
    }

    @Override
    public void signalNoMoreSplits(int reader) {
        context.signalNoMoreSplits(reader);
    }

    @Override
    public <T> void callAsync(Callable<T> callable, BiConsumer<T, Throwable> handler) {
        context.callAsync(callable, handler);
    }

    @Override
    public <T> void callAsync(
            Callable<T> callable, BiConsumer<T, Throwable> handler, long delay, long period) {
        context.callAsync(callable, handler, delay, period);
    }

    @Override
    public void runInCoordinatorThread(Runnable runnable) {
        context.runInCoordinatorThread(runnable);
    }

    @Override
    public void setIsProcessingBacklog(boolean isBacklog) {
        context.setIsProcessingBacklog(isBacklog);
    }
}
