package lakehouse;

import java.time.DateTimeException;
import java.time.format.DateTimeFormatter;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.table.utils.DateTimeUtils;

/**
 * ISO_TIMESTAMP(text): the TIMESTAMP(6) of a date and, optionally, a time after a space or a T;
 * NULL for dates that do not exist. A cast turns 30 February into 1 March and ignores a trailing
 * point, so the result must convert back to the same text.
 */
public class IsoTimestamp extends ScalarFunction {
    private static final long serialVersionUID = 1L;
    private static final int PRECISION = 6;
    private static final DateTimeFormatter SECONDS =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");

    private transient Remembered<TimestampData> read;

    @Override
    public void open(FunctionContext context) {
        read = new Remembered<>(IsoTimestamp::read);
    }

    public @DataTypeHint(value = "TIMESTAMP(6)", bridgedTo = TimestampData.class) TimestampData
            eval(@DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData text) {
        return text == null ? null : read.get(text.toString());
    }

    private static TimestampData read(String text) {
        String written = text.replace('T', ' ');
        if (written.endsWith(".")) {
            return null;
        }
        TimestampData value;
        try {
            value = DateTimeUtils.parseTimestampData(written, PRECISION);
        } catch (DateTimeException error) {
            return null;
        }
        String seconds = SECONDS.format(value.toLocalDateTime());
        int length = Math.min(written.length(), seconds.length());
        return seconds.regionMatches(0, written, 0, length) ? value : null;
    }
}
