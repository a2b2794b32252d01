package lakehouse.eventtime;

import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.flink.source.enumerator.IcebergEnumeratorState;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;

/**
 * Iceberg's source, whose reader also emits watermarks. Its saved state can be read as Iceberg's.
 */
class EventTimeSource implements Source<RowData, IcebergSourceSplit, IcebergEnumeratorState> {
    private static final long serialVersionUID = 1L;

    private final Source<RowData, IcebergSourceSplit, IcebergEnumeratorState> iceberg;
    private final int watermarkColumn;

    EventTimeSource(
            Source<RowData, IcebergSourceSplit, IcebergEnumeratorState> iceberg,
            int watermarkColumn) {
        this.iceberg = iceberg;
        this.watermarkColumn = watermarkColumn;
    }

    @Override
    public Boundedness getBoundedness() {
        return iceberg.getBoundedness();
    }

    @Override
    public SourceReader<RowData, IcebergSourceSplit> createReader(SourceReaderContext context)
            throws Exception {
        return new EventTimeReader(iceberg.createReader(context), watermarkColumn);
    }

    @Override
    public SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> createEnumerator(
            SplitEnumeratorContext<IcebergSourceSplit> context) throws Exception {
        return new EventTimeEnumerator(iceberg.createEnumerator(context), context);
    }

    @Override
    public SplitEnumerator<IcebergSourceSplit, IcebergEnumeratorState> restoreEnumerator(
            SplitEnumeratorContext<IcebergSourceSplit> context, IcebergEnumeratorState state)
            throws Exception {
        return new EventTimeEnumerator(iceberg.restoreEnumerator(context, state), context);
    }

    @Override
    public SimpleVersionedSerializer<IcebergSourceSplit> getSplitSerializer() {
        return new SavedTime.Serializer(iceberg.getSplitSerializer());
    }

    @Override
    public SimpleVersionedSerializer<IcebergEnumeratorState> getEnumeratorCheckpointSerializer() {
        return iceberg.getEnumeratorCheckpointSerializer();
    }
}
