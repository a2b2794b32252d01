package lakehouse.eventtime;

import java.io.IOException;
import java.util.List;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.iceberg.flink.source.enumerator.IcebergEnumeratorState;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;

/**
 * Iceberg's enumerator. The only reader asks it for a split when it has none; if there is none, it
 * has read everything that was found.
 */
class EventTimeEnumerator implements SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> {
    private final SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> iceberg;
    private final AssignmentContext context;

    EventTimeEnumerator(
            SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> iceberg,
            AssignmentContext context) {
        this.iceberg = iceberg;
        this.context = context;
    }

    @Override
    public void handleSourceEvent(int reader, SourceEvent event) {
        long before = context.assignments();
        iceberg.handleSourceEvent(reader, event);
        if (context.assignments() == before) {
            context.sendEventToSourceReader(reader, new AllRead());
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
