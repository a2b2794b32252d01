package lakehouse;

import java.util.regex.Pattern;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * JSON_NUMBER(text): the nearest DOUBLE, or Infinity if the number is too large; NULL for text that
 * is not a JSON number. A cast also accepts 20d, 0x1p4, NaN and surrounding spaces.
 */
public class JsonNumber extends ScalarFunction {
    private static final long serialVersionUID = 1L;
    private static final Pattern NUMBER =
            Pattern.compile("-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?");

    private transient Remembered<Double> read;

    @Override
    public void open(FunctionContext context) {
        read =
                new Remembered<>(
                        text -> NUMBER.matcher(text).matches() ? Double.valueOf(text) : null);
    }

    public Double eval(
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData text) {
        return text == null ? null : read.get(text.toString());
    }
}
