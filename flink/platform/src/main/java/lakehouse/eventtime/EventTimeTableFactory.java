package lakehouse.eventtime;

import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.flink.FlinkDynamicTableFactory;
import org.apache.iceberg.flink.source.IcebergTableSource;

/**
 * {@code 'connector' = 'iceberg-event-time'}: streams an Iceberg table, and takes the watermark of
 * the stream from a column in which the table's writer stored it with each row.
 *
 * <p>A commit has no order of rows: its files are read in any order, those of a day before those of
 * another. So the watermark stays as it is while a commit is read, and advances to the column's
 * maximum when everything that the table has is read: rows of later commits are not below it.
 */
public class EventTimeTableFactory implements DynamicTableSourceFactory {
    static final ConfigOption<String> COLUMN =
            ConfigOptions.key("event-time.watermark-column")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "The TIMESTAMP column with the watermark; the query must use it");

    private final FlinkDynamicTableFactory iceberg = new FlinkDynamicTableFactory();

    @Override
    public String factoryIdentifier() {
        return "iceberg-event-time";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(COLUMN);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        String column = context.getCatalogTable().getOptions().get(COLUMN.key());
        if (column == null) {
            throw new ValidationException(
                    COLUMN.key() + " is missing. Next: set it to the column with the watermark");
        }
        DataType row = context.getPhysicalRowDataType();
        if (!isTimestamp(row, column)) {
            throw new ValidationException(
                    ("%s is '%s', which is not a TIMESTAMP column of %s."
                                    + " Next: set it to the column with the watermark")
                            .formatted(
                                    COLUMN.key(),
                                    column,
                                    context.getObjectIdentifier().asSummaryString()));
        }
        return new EventTimeTableSource(
                (IcebergTableSource) iceberg.createDynamicTableSource(context), row, column);
    }

    private static boolean isTimestamp(DataType row, String column) {
        RowType type = (RowType) row.getLogicalType();
        int position = type.getFieldIndex(column);
        return position >= 0
                && type.getTypeAt(position).is(LogicalTypeRoot.TIMESTAMP_WITHOUT_TIME_ZONE);
    }
}
