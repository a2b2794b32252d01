package lakehouse.eventtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.LocalDateTime;
import org.apache.flink.table.data.TimestampData;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PartitionWatermarkTest {
    private static final LocalDateTime UNKNOWN = LocalDateTime.of(1970, 1, 1, 0, 0);
    private static final LocalDateTime TEN = LocalDateTime.of(2024, 1, 5, 10, 0);
    private static final LocalDateTime ARRIVAL = LocalDateTime.of(2026, 7, 1, 0, 0);

    private final PartitionWatermark function = new PartitionWatermark();

    @BeforeEach
    void open() {
        function.open(null);
    }

    private LocalDateTime watermark(
            int partition, LocalDateTime eventTime, LocalDateTime arrival, int disorder) {
        return function.eval(
                        partition,
                        eventTime == null ? null : TimestampData.fromLocalDateTime(eventTime),
                        TimestampData.fromLocalDateTime(arrival),
                        disorder)
                .toLocalDateTime();
    }

    private LocalDateTime watermark(LocalDateTime eventTime) {
        return watermark(0, eventTime, ARRIVAL, 0);
    }

    /** So many events, each a minute after the one before, until this one. */
    private LocalDateTime everyMinuteUntil(LocalDateTime last, int events) {
        LocalDateTime watermark = null;
        for (int i = events - 1; i >= 0; i--) {
            watermark = watermark(last.minusMinutes(i));
        }
        return watermark;
    }

    @Test
    void isUnknownBeforeThreeEvents() {
        assertThat(watermark(TEN)).isEqualTo(UNKNOWN);
        assertThat(watermark(TEN.plusMinutes(1))).isEqualTo(UNKNOWN);
        assertThat(watermark(TEN.plusMinutes(2))).isEqualTo(TEN);
    }

    @Test
    void isTheThirdLatestTimeWhateverTheOrder() {
        watermark(TEN.plusMinutes(9));
        watermark(TEN.plusMinutes(1));
        watermark(TEN.plusMinutes(8));
        assertThat(watermark(TEN.plusMinutes(7))).isEqualTo(TEN.plusMinutes(7));
        assertThat(watermark(TEN.plusMinutes(2))).isEqualTo(TEN.plusMinutes(7));
        assertThat(watermark(TEN.plusMinutes(10))).isEqualTo(TEN.plusMinutes(8));
    }

    @Test
    void neverDecreases() {
        assertThat(everyMinuteUntil(TEN, 40)).isEqualTo(TEN.minusMinutes(2));
        // Far more than are remembered.
        assertThat(everyMinuteUntil(TEN.minusDays(1), 100)).isEqualTo(TEN.minusMinutes(2));
        assertThat(watermark(TEN.plusMinutes(1))).isEqualTo(TEN.minusMinutes(2));
        assertThat(watermark(TEN.plusMinutes(2))).isEqualTo(TEN.minusMinutes(2));
        assertThat(watermark(TEN.plusMinutes(3))).isEqualTo(TEN.plusMinutes(1));
    }

    @Test
    void twoStrayDatesDoNotMoveIt() {
        everyMinuteUntil(TEN, 10);
        assertThat(watermark(TEN.plusDays(20))).isEqualTo(TEN.minusMinutes(1));
        assertThat(watermark(TEN.plusDays(21))).isEqualTo(TEN);
        // They take two of the three latest places.
        assertThat(watermark(TEN.plusMinutes(1))).isEqualTo(TEN.plusMinutes(1));
    }

    @Test
    void strayDatesLeaveNoTrace() {
        everyMinuteUntil(TEN, 10);
        watermark(TEN.plusDays(20));
        watermark(TEN.plusDays(20));
        assertThat(everyMinuteUntil(TEN.plusMinutes(31), 31)).isEqualTo(TEN.plusMinutes(30));
        // The last 32 events have no stray date.
        assertThat(watermark(TEN.plusMinutes(32))).isEqualTo(TEN.plusMinutes(30));
        assertThat(watermark(TEN.plusMinutes(33))).isEqualTo(TEN.plusMinutes(31));
    }

    @Test
    void aDateMoreThanADayAfterItsArrivalIsIgnored() {
        LocalDateTime arrival = TEN.plusMinutes(1);
        everyMinuteUntil(TEN, 10);
        for (int i = 0; i < 100; i++) {
            assertThat(watermark(0, LocalDateTime.of(2098, 1, 1, 0, 0), arrival, 0))
                    .isEqualTo(TEN.minusMinutes(2));
            assertThat(watermark(0, arrival.plusDays(1).plusSeconds(1), arrival, 0))
                    .isEqualTo(TEN.minusMinutes(2));
        }
        watermark(0, arrival.plusDays(1), arrival, 0);
        watermark(0, arrival.plusDays(1), arrival, 0);
        assertThat(watermark(0, arrival.plusDays(1), arrival, 0)).isEqualTo(arrival.plusDays(1));
    }

    @Test
    void theAllowedDisorderIsSubtracted() {
        everyMinuteUntil(TEN, 3);
        assertThat(watermark(0, TEN, ARRIVAL, 90)).isEqualTo(TEN.minusMinutes(1).minusSeconds(90));
        int tooMuch = (int) Duration.between(UNKNOWN, TEN).toSeconds() + 1;
        assertThat(watermark(0, TEN, ARRIVAL, tooMuch)).isEqualTo(UNKNOWN);
    }

    @Test
    void eachPartitionHasItsOwn() {
        everyMinuteUntil(TEN, 3);
        assertThat(watermark(1, TEN.plusHours(1), ARRIVAL, 0)).isEqualTo(UNKNOWN);
        assertThat(watermark(TEN)).isEqualTo(TEN.minusMinutes(1));
    }

    @Test
    void anEventWithoutATimeDoesNotMoveIt() {
        assertThat(watermark(null)).isEqualTo(UNKNOWN);
        everyMinuteUntil(TEN, 3);
        assertThat(watermark(null)).isEqualTo(TEN.minusMinutes(2));
    }

    @Test
    void isOfTheEventsSinceTheStart() {
        everyMinuteUntil(TEN, 3);
        function.open(null);
        assertThat(watermark(TEN)).isEqualTo(UNKNOWN);
    }
}
