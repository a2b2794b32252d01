package lakehouse.inline;

import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.LookupTableSource;
import org.apache.flink.table.connector.source.lookup.LookupFunctionProvider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/** The table: can only be looked up by equality of some columns. */
class InlineTableSource implements LookupTableSource {
    private final String rows;
    private final DecodingFormat<DeserializationSchema<RowData>> format;
    private final DataType type;

    InlineTableSource(
            String rows, DecodingFormat<DeserializationSchema<RowData>> format, DataType type) {
        this.rows = rows;
        this.format = format;
        this.type = type;
    }

    @Override
    public LookupRuntimeProvider getLookupRuntimeProvider(LookupContext context) {
        int[] columns = new int[context.getKeys().length];
        for (int i = 0; i < columns.length; i++) {
            columns[i] = context.getKeys()[i][0];
        }
        RowType row = (RowType) type.getLogicalType();
        return LookupFunctionProvider.of(
                new InlineLookup(rows, format.createRuntimeDecoder(context, type), row, columns));
    }

    @Override
    public DynamicTableSource copy() {
        return new InlineTableSource(rows, format, type);
    }

    @Override
    public String asSummaryString() {
        return "Inline table";
    }
}
