package lakehouse.eventtime;

import java.io.IOException;
import java.util.List;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.util.FlinkRuntimeException;
import org.apache.iceberg.flink.source.enumerator.IcebergEnumeratorState;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;

/**
 * Iceberg's enumerator. The only reader asks it for a split when it has finished the one before: if
 * none is pending then, the reader has read everything that was found.
 */
class EventTimeEnumerator implements SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> {
    private static final long NO_CHECKPOINT = -1;

    private final SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> iceberg;
    private final SplitEnumeratorContext<IcebergSourceSplit> context;

    EventTimeEnumerator(
            SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> iceberg,
            SplitEnumeratorContext<IcebergSourceSplit> context) {
        this.iceberg = iceberg;
        this.context = context;
    }

    /** The reader gets the event before the answer, which may be the end of a bounded read. */
    @Override
    public void handleSourceEvent(int reader, SourceEvent request) {
        if (nothingIsPending()) {
            context.sendEventToSourceReader(reader, new AllRead());
        }
        iceberg.handleSourceEvent(reader, request);
    }

    /** The state is the only view of what Iceberg has found and not assigned. */
    private boolean nothingIsPending() {
        try {
            return iceberg.snapshotState(NO_CHECKPOINT).pendingSplits().isEmpty();
        } catch (Exception error) {
            throw new FlinkRuntimeException("The pending splits of Iceberg are unknown", error);
        }
    }

    @Override
    public void start() {
        iceberg.start();
    }

    @Override
    public void handleSplitRequest(int reader, String host) {
        iceberg.handleSplitRequest(reader, host);
    }

    @Override
    public void addSplitsBack(List<IcebergSourceSplit> splits, int reader) {
        iceberg.addSplitsBack(splits, reader);
    }

    @Override
    public void addReader(int reader) {
        iceberg.addReader(reader);
    }

    @Override
    public IcebergEnumeratorState snapshotState(long checkpoint) throws Exception {
        return iceberg.snapshotState(checkpoint);
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) throws Exception {
        iceberg.notifyCheckpointComplete(checkpoint);
    }

    @Override
    public void notifyCheckpointAborted(long checkpoint) throws Exception {
        iceberg.notifyCheckpointAborted(checkpoint);
    }

    @Override
    public void close() throws IOException {
        iceberg.close();
    }
}
