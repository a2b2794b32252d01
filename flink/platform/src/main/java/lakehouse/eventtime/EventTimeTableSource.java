package lakehouse.eventtime;

import java.util.Optional;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.transformations.SourceTransformation;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.source.DataStreamScanProvider;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.connector.source.abilities.SupportsProjectionPushDown;
import org.apache.flink.table.connector.source.abilities.SupportsSourceWatermark;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
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

    /** The source that Iceberg would run, which it may give as part of a stream only. */
    @SuppressWarnings("unchecked")
    private Source<RowData, IcebergSourceSplit, IcebergEnumeratorState> source(
            ScanContext context) {
        ScanRuntimeProvider provider = iceberg.getScanRuntimeProvider(context);
        Source<RowData, ?, ?> source;
        if (provider instanceof SourceProvider given) {
            source = given.createSource();
        } else if (transformation((DataStreamScanProvider) provider)
                instanceof SourceTransformation<RowData, ?, ?> given) {
            source = given.getSource();
        } else {
            throw new ValidationException(
                    "Only Iceberg's newer source has event time. Next: set"
                            + " table.exec.iceberg.use-flip27-source to true");
        }
        return (Source<RowData, IcebergSourceSplit, IcebergEnumeratorState>) source;
    }

    /** Made in an environment of its own, so that nothing of it is in the query's. */
    private static Transformation<RowData> transformation(DataStreamScanProvider provider) {
        return provider.produceDataStream(
                        name -> Optional.empty(), new StreamExecutionEnvironment())
                .getTransformation();
    }

    private int position() {
        int position = ((RowType) type.getLogicalType()).getFieldIndex(column);
        if (position < 0) {
            throw new ValidationException(
                    ("%s is '%s', which the query does not use, so it would have no watermark."
                                    + " Next: select the column")
                            .formatted(EventTimeTableFactory.COLUMN.key(), column));
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
