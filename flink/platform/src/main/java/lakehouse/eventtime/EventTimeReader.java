package lakehouse.eventtime;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SourceOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;

/**
 * Iceberg's reader, which emits the largest watermark of its rows when it has read all of them, in
 * whole seconds: so a window that ends with a second is closed exactly if its end is not after
 * {@code CURRENT_WATERMARK}, although Flink's watermark includes its own millisecond.
 *
 * <p>The watermark is saved with the positions, and after a restart emitted before any row: windows
 * that it closed stay closed, and the query must be able to recognize a row that is late for them.
 */
class EventTimeReader implements SourceReader<RowData, IcebergSourceSplit> {
    private static final int MICROSECONDS = 6;
    private static final long SECOND = 1000;

    private final SourceReader<RowData, IcebergSourceSplit> iceberg;
    private final int watermarkColumn;
    private ReaderOutput<RowData> output;
    private Observed observed;
    private long largest = Long.MIN_VALUE;
    private long emitted = Long.MIN_VALUE;

    EventTimeReader(SourceReader<RowData, IcebergSourceSplit> iceberg, int watermarkColumn) {
        this.iceberg = iceberg;
        this.watermarkColumn = watermarkColumn;
    }

    @Override
    public InputStatus pollNext(ReaderOutput<RowData> given) throws Exception {
        if (output != given) {
            output = given;
            observed = new Observed(given);
            emit();
        }
        return iceberg.pollNext(observed);
    }

    @Override
    public void handleSourceEvents(SourceEvent event) {
        if (!(event instanceof AllRead)) {
            iceberg.handleSourceEvents(event);
        } else if (largest > emitted) {
            emitted = largest;
            emit();
        }
    }

    /** There is no output before the first row is asked for. */
    private void emit() {
        if (output != null && emitted != Long.MIN_VALUE) {
            output.emitWatermark(new Watermark(emitted));
        }
    }

    private void observe(RowData row) {
        if (!row.isNullAt(watermarkColumn)) {
            long time = row.getTimestamp(watermarkColumn, MICROSECONDS).getMillisecond();
            largest = Math.max(largest, time - Math.floorMod(time, SECOND));
        }
    }

    @Override
    public void start() {
        iceberg.start();
    }

    @Override
    public List<IcebergSourceSplit> snapshotState(long checkpoint) {
        List<IcebergSourceSplit> splits = new ArrayList<>(iceberg.snapshotState(checkpoint));
        splits.add(SavedTime.EMITTED.split(emitted));
        splits.add(SavedTime.LARGEST.split(largest));
        return splits;
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
        return iceberg.isAvailable();
    }

    @Override
    public void addSplits(List<IcebergSourceSplit> splits) {
        emitted = SavedTime.EMITTED.latest(splits, emitted);
        largest = SavedTime.LARGEST.latest(splits, largest);
        List<IcebergSourceSplit> files = splits.stream().filter(s -> !SavedTime.isIn(s)).toList();
        if (!files.isEmpty()) {
            iceberg.addSplits(files);
        }
    }

    @Override
    public void notifyNoMoreSplits() {
        iceberg.notifyNoMoreSplits();
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
    public void pauseOrResumeSplits(Collection<String> toPause, Collection<String> toResume) {
        iceberg.pauseOrResumeSplits(toPause, toResume);
    }

    @Override
    public void close() throws Exception {
        iceberg.close();
    }

    /** Looks at each row on its way. */
    private class Observed implements ReaderOutput<RowData> {
        private final ReaderOutput<RowData> reader;
        private final SourceOutput<RowData> target;

        Observed(ReaderOutput<RowData> reader) {
            this(reader, reader);
        }

        private Observed(ReaderOutput<RowData> reader, SourceOutput<RowData> target) {
            this.reader = reader;
            this.target = target;
        }

        @Override
        public void collect(RowData row) {
            observe(row);
            target.collect(row);
        }

        @Override
        public void collect(RowData row, long timestamp) {
            observe(row);
            target.collect(row, timestamp);
        }

        @Override
        public void emitWatermark(Watermark watermark) {
            target.emitWatermark(watermark);
        }

        @Override
        public void markIdle() {
            target.markIdle();
        }

        @Override
        public void markActive() {
            target.markActive();
        }

        @Override
        public SourceOutput<RowData> createOutputForSplit(String split) {
            return new Observed(reader, reader.createOutputForSplit(split));
        }

        @Override
        public void releaseOutputForSplit(String split) {
            reader.releaseOutputForSplit(split);
        }
    }
}
