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
 * ISO_TIMESTAMP(text): the TIMESTAMP(6) of a date, or of a date and a time after a blank or a T;
 * NULL for what no calendar has. A cast takes 30 February for 1 March and overlooks a last point:
 * only what reads back as it was written counts.
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
