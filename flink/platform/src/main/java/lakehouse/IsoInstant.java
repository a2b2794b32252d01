package lakehouse;

import java.time.OffsetDateTime;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoUnit;
import java.util.regex.Pattern;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * ISO_INSTANT(text): the TIMESTAMP_LTZ(6) of a date and, after a space or a T, a time with an
 * offset from UTC (Z or +01:00); NULL for dates that do not exist, and for a time without an
 * offset, because it is ambiguous.
 */
public class IsoInstant extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    /** Java accepts it as an empty fraction; it is rejected here as in IsoTimestamp. */
    private static final Pattern POINT_WITHOUT_DIGITS = Pattern.compile("[.](Z|[+-])");

    private transient Remembered<TimestampData> read;

    @Override
    public void open(FunctionContext context) {
        read = new Remembered<>(IsoInstant::read);
    }

    public @DataTypeHint(value = "TIMESTAMP_LTZ(6)", bridgedTo = TimestampData.class) TimestampData
            eval(@DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData text) {
        return text == null ? null : read.get(text.toString());
    }

    private static TimestampData read(String text) {
        if (POINT_WITHOUT_DIGITS.matcher(text).find()) {
            return null;
        }
        try {
            OffsetDateTime time = OffsetDateTime.parse(text.replace(' ', 'T'));
            return TimestampData.fromInstant(time.toInstant().truncatedTo(ChronoUnit.MICROS));
        } catch (DateTimeParseException error) {
            return null;
        }
    }
}
