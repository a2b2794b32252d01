package lakehouse.inline;

import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;

/**
 * {@code 'connector' = 'inline'}: a small table for lookup joins, whose rows are in the statement
 * itself: {@code 'rows'} has one per line, in the format that {@code 'format'} names. No file has
 * to be where the cluster can read it, and other rows make another version of the job.
 */
public class InlineTableFactory implements DynamicTableSourceFactory {
    static final ConfigOption<String> ROWS =
            ConfigOptions.key("rows")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("The rows, one per line");

    @Override
    public String factoryIdentifier() {
        return "inline";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(ROWS, FactoryUtil.FORMAT);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        DecodingFormat<DeserializationSchema<RowData>> format =
                helper.discoverDecodingFormat(
                        DeserializationFormatFactory.class, FactoryUtil.FORMAT);
        helper.validate();
        return new InlineTableSource(
                helper.getOptions().get(ROWS), format, context.getPhysicalRowDataType());
    }
}
