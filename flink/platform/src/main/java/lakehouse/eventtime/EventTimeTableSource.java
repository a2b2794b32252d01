package lakehouse.eventtime;

import org.apache.flink.api.connector.source.Source;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.transformations.SourceTransformation;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.ProviderContext;
import org.apache.flink.table.connector.source.DataStreamScanProvider;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.connector.source.abilities.SupportsProjectionPushDown;
import org.apache.flink.table.connector.source.abilities.SupportsSourceWatermark;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.flink.source.IcebergTableSource;
import org.apache.iceberg.flink.source.enumerator.IcebergEnumeratorState;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;

/** Iceberg's own source, with watermarks; one task reads the table, so that they have one order. */
class EventTimeTableSource
        implements ScanTableSource, SupportsProjectionPushDown, SupportsSourceWatermark {
    private final IcebergTableSource iceberg;
    private final String column;
    private DataType type;

    EventTimeTableSource(IcebergTableSource iceberg, DataType type, String column) {
        this.iceberg = iceberg;
        this.type = type;
        this.column = column;
    }

    @Override
    public void applyProjection(int[][] fields, DataType produced) {
        iceberg.applyProjection(fields, produced);
        type = produced;
    }

    @Override
    public boolean supportsNestedProjection() {
        return false;
    }

    @Override
    public void applySourceWatermark() {}

    @Override
    public ChangelogMode getChangelogMode() {
        return iceberg.getChangelogMode();
    }

    @Override
    public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
        return SourceProvider.of(new EventTimeSource(source(context), position()), 1);
    }

    /** The source that Iceberg would run; it is only given as part of a stream. */
    @SuppressWarnings("unchecked")
    private Source<RowData, IcebergSourceSplit, IcebergEnumeratorState> source(
            ScanContext context) {
        DataStreamScanProvider provider =
                (DataStreamScanProvider) iceberg.getScanRuntimeProvider(context);
        ProviderContext unnamed = name -> java.util.Optional.empty();
        DataStream<RowData> stream =
                provider.produceDataStream(
                        unnamed, StreamExecutionEnvironment.getExecutionEnvironment());
        var transformation = (SourceTransformation<RowData, ?, ?>) stream.getTransformation();
        return (Source<RowData, IcebergSourceSplit, IcebergEnumeratorState>)
                transformation.getSource();
    }

    private int position() {
        RowType row = (RowType) type.getLogicalType();
        int position = row.getFieldIndex(column);
        if (position < 0
                || row.getTypeAt(position).getTypeRoot()
                        != LogicalTypeRoot.TIMESTAMP_WITHOUT_TIME_ZONE) {
            throw new ValidationException(
                    EventTimeTableFactory.COLUMN.key()
                            + " is "
                            + column
                            + ", which is not a TIMESTAMP column that the query uses. Next: use it");
        }
        return position;
    }

    @Override
    public DynamicTableSource copy() {
        return new EventTimeTableSource((IcebergTableSource) iceberg.copy(), type, column);
    }

    @Override
    public String asSummaryString() {
        return "Iceberg table with event time";
    }
}
