package lakehouse;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import java.time.LocalDateTime;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EventValuesTest {
    private final JsonNumber number = new JsonNumber();
    private final IsoTimestamp timestamp = new IsoTimestamp();
    private final IsoInstant instant = new IsoInstant();

    @BeforeEach
    void open() {
        number.open(null);
        timestamp.open(null);
        instant.open(null);
    }

    private Double number(String text) {
        return number.eval(StringData.fromString(text));
    }

    private TimestampData timestamp(String text) {
        return timestamp.eval(StringData.fromString(text));
    }

    private TimestampData instant(String text) {
        return instant.eval(StringData.fromString(text));
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0",
        "-0.5, -0.5",
        "12.50, 12.5",
        "1e2, 100",
        "1E-2, 0.01",
        "1e400, Infinity",
        "-1e400, -Infinity"
    })
    void jsonNumbersAreParsed(String text, double value) {
        assertThat(number(text)).isEqualTo(value);
        assertThat(number(text)).as("again").isEqualTo(value);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " 1",
                "1 ",
                "01",
                "+1",
                "1.",
                ".5",
                "1e",
                "20d",
                "0x1p4",
                "NaN",
                "Infinity",
                "null",
                "1,5",
                "\u0661",
                "1\n"
            })
    void otherTextsAreNotNumbers(String text) {
        assertThat(number(text)).isNull();
        assertThat(number(text)).as("again").isNull();
    }

    @ParameterizedTest
    @CsvSource({
        "2024-01-31 23:59:59, 2024-01-31T23:59:59",
        "2024-01-31T23:59:59, 2024-01-31T23:59:59",
        "2024-02-29 00:00:00.123456, 2024-02-29T00:00:00.123456",
        "2024-01-31, 2024-01-31T00:00:00",
        "1901-05-06 03:04:05, 1901-05-06T03:04:05"
    })
    void timestampsAreParsed(String text, LocalDateTime value) {
        assertThat(timestamp(text)).isEqualTo(TimestampData.fromLocalDateTime(value));
        assertThat(timestamp(text)).as("again").isEqualTo(TimestampData.fromLocalDateTime(value));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "soon",
                "2024-02-30 00:00:00",
                "2023-02-29",
                "2024-13-01 00:00:00",
                "2024-01-01 24:00:00",
                "2024-01-01 00:00:60",
                "2024-01-01 00:00:00.",
                "2024-01-01 00:00:00Z",
                "2024-01-01 00:00:00+01:00",
                "01/31/2024",
                "1706745599",
                "2024-1-1 0:0:0",
                " 2024-01-01",
                "\u0662024-01-01 00:00:00"
            })
    void invalidTimestampsAreNull(String text) {
        assertThat(timestamp(text)).isNull();
        assertThat(timestamp(text)).as("again").isNull();
    }

    @ParameterizedTest
    @CsvSource({
        "2013-01-01T10:00:00Z, 2013-01-01T10:00:00Z",
        "2013-01-01 10:00:00Z, 2013-01-01T10:00:00Z",
        "2013-01-01T10:00:00+01:00, 2013-01-01T09:00:00Z",
        "2013-01-01T00:30:00+01:00, 2012-12-31T23:30:00Z",
        "2013-01-01T23:00:00-05:30, 2013-01-02T04:30:00Z",
        "2013-01-01T10:00:00.5Z, 2013-01-01T10:00:00.500Z",
        "2013-01-01T10:00:00.123456Z, 2013-01-01T10:00:00.123456Z",
        "2013-01-01T10:00:00.123456789Z, 2013-01-01T10:00:00.123456Z",
        "1969-12-31T23:59:59.999999999Z, 1969-12-31T23:59:59.999999Z",
        "2024-02-29T00:00:00Z, 2024-02-29T00:00:00Z"
    })
    void instantsAreParsed(String text, Instant value) {
        assertThat(instant(text)).isEqualTo(TimestampData.fromInstant(value));
        assertThat(instant(text)).as("again").isEqualTo(TimestampData.fromInstant(value));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "soon",
                "2013-01-01",
                "2013-01-01T10:00:00",
                "2013-01-01 10:00:00",
                "2013-02-29T00:00:00Z",
                "2024-02-30T00:00:00Z",
                "2024-13-01T00:00:00Z",
                "2024-01-01T24:00:00Z",
                "2024-01-01T00:00:60Z",
                "2024-01-01T00:00:00+25:00",
                "2024-01-01T00:00:00+0100",
                "2024-01-01 00:00:00 +01:00",
                "2024-01-01T00:00:00[UTC]",
                "2024-1-1T00:00:00Z",
                "01/31/2024 00:00:00Z",
                "1706745599",
                " 2024-01-01T00:00:00Z",
                "2024-01-01T00:00:00Z ",
                "\u0662024-01-01T00:00:00Z",
                "2024-01-01T00:00:00.Z",
                "2024-01-01T00:00:00.+01:00"
            })
    void invalidInstantsAreNull(String text) {
        assertThat(instant(text)).isNull();
        assertThat(instant(text)).as("again").isNull();
    }

    @Test
    void nullIsNull() {
        assertThat(number.eval(null)).isNull();
        assertThat(timestamp.eval(null)).isNull();
        assertThat(instant.eval(null)).isNull();
    }

    @Test
    void moreTextsThanAreCachedAreParsed() {
        for (int i = 0; i < 20_000; i++) {
            assertThat(number(String.valueOf(i))).isEqualTo(i);
            assertThat(number("x" + i)).isNull();
        }
    }
}
