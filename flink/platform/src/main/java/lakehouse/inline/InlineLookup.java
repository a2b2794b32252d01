package lakehouse.inline;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.LookupFunction;
import org.apache.flink.table.types.logical.RowType;

/** Finds the rows whose key columns equal those of the key. */
public class InlineLookup extends LookupFunction {
    private static final long serialVersionUID = 1L;

    private final String rows;
    private final DeserializationSchema<RowData> format;
    private final RowType type;
    private final int[] columns;
    private transient Map<RowData, List<RowData>> byKey;

    InlineLookup(String rows, DeserializationSchema<RowData> format, RowType type, int[] columns) {
        this.rows = rows;
        this.format = format;
        this.type = type;
        this.columns = columns;
    }

    @Override
    public void open(FunctionContext context) throws Exception {
        format.open(null);
        RowData.FieldGetter[] getters = new RowData.FieldGetter[columns.length];
        for (int i = 0; i < columns.length; i++) {
            getters[i] = RowData.createFieldGetter(type.getTypeAt(columns[i]), columns[i]);
        }
        byKey = new HashMap<>();
        for (String line : rows.lines().filter(line -> !line.isBlank()).toList()) {
            RowData row = read(line);
            if (row == null) { // The format ignores what it cannot read, as its options say.
                continue;
            }
            GenericRowData key = new GenericRowData(columns.length);
            for (int i = 0; i < columns.length; i++) {
                key.setField(i, getters[i].getFieldOrNull(row));
            }
            byKey.computeIfAbsent(key, found -> new ArrayList<>()).add(row);
        }
    }

    private RowData read(String line) {
        try {
            return format.deserialize(line.getBytes(StandardCharsets.UTF_8));
        } catch (IOException | RuntimeException error) {
            throw new IllegalArgumentException(
                    "this row of the inline table cannot be read: "
                            + line
                            + ". Next: correct it in the option 'rows', or the table's columns",
                    error);
        }
    }

    @Override
    public Collection<RowData> lookup(RowData key) {
        return byKey.getOrDefault(key, List.of());
    }
}
