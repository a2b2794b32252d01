package lakehouse.eventtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.LocalDateTime;
import org.apache.flink.table.data.TimestampData;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Two partitions are declared, and one that has no event for a minute is idle. */
class StreamWatermarkTest {
    private static final LocalDateTime UNKNOWN = LocalDateTime.of(1970, 1, 1, 0, 0);
    private static final LocalDateTime TEN = LocalDateTime.of(2024, 1, 5, 10, 0);
    private static final LocalDateTime START = LocalDateTime.of(2026, 7, 1, 0, 0);
    private static final int IDLE = 60;

    private final StreamWatermark function = new StreamWatermark();
    private LocalDateTime now = START;

    @BeforeEach
    void open() {
        function.open(null);
    }

    private LocalDateTime watermark(
            int partition, LocalDateTime eventTime, int disorder, int partitions, int idle) {
        return function.eval(
                        partition,
                        TimestampData.fromLocalDateTime(eventTime),
                        TimestampData.fromLocalDateTime(now),
                        disorder,
                        partitions,
                        idle)
                .toLocalDateTime();
    }

    /** After three events of this time, as the third-latest counts. */
    private LocalDateTime watermark(int partition, LocalDateTime eventTime) {
        watermark(partition, eventTime, 0, 2, IDLE);
        watermark(partition, eventTime, 0, 2, IDLE);
        return watermark(partition, eventTime, 0, 2, IDLE);
    }

    @Test
    void isThatOfTheSlowestPartition() {
        watermark(0, TEN);
        assertThat(watermark(1, TEN.plusMinutes(5))).isEqualTo(TEN);
        assertThat(watermark(0, TEN.plusMinutes(7))).isEqualTo(TEN.plusMinutes(5));
        assertThat(watermark(1, TEN.plusMinutes(6))).isEqualTo(TEN.plusMinutes(6));
    }

    @Test
    void isUnknownUntilEveryPartitionIsKnown() {
        assertThat(watermark(0, TEN)).isEqualTo(UNKNOWN);
        assertThat(watermark(1, TEN, 0, 2, IDLE)).isEqualTo(UNKNOWN);
        assertThat(watermark(1, TEN, 0, 2, IDLE)).isEqualTo(UNKNOWN);
        assertThat(watermark(1, TEN, 0, 2, IDLE)).isEqualTo(TEN);
    }

    @Test
    void aPartitionWithoutAnyEventIsWaitedForUntilItIsIdle() {
        watermark(0, TEN);
        now = START.plusSeconds(IDLE);
        assertThat(watermark(0, TEN.plusMinutes(1))).isEqualTo(UNKNOWN);
        now = START.plusSeconds(IDLE + 1);
        assertThat(watermark(0, TEN.plusMinutes(2))).isEqualTo(TEN.plusMinutes(2));
    }

    @Test
    void anIdlePartitionDoesNotHoldItBackUntilItWakes() {
        watermark(0, TEN);
        watermark(1, TEN);
        now = START.plusSeconds(IDLE);
        assertThat(watermark(0, TEN.plusHours(1))).isEqualTo(TEN);
        now = START.plusSeconds(IDLE + 1);
        assertThat(watermark(0, TEN.plusHours(1))).isEqualTo(TEN.plusHours(1));
        assertThat(watermark(1, TEN.plusMinutes(1))).as("awake").isEqualTo(TEN.plusHours(1));
        assertThat(watermark(0, TEN.plusHours(2))).as("held back").isEqualTo(TEN.plusHours(1));
        assertThat(watermark(1, TEN.plusMinutes(90))).isEqualTo(TEN.plusMinutes(90));
    }

    @Test
    void strayDatesKeepAPartitionAwake() {
        watermark(0, TEN);
        watermark(1, TEN);
        now = START.plusSeconds(IDLE + 1);
        watermark(1, LocalDateTime.of(2098, 1, 1, 0, 0));
        assertThat(watermark(0, TEN.plusHours(1))).isEqualTo(TEN);
    }

    @Test
    void theAllowedDisorderIsSubtracted() {
        watermark(0, TEN);
        watermark(1, TEN);
        assertThat(watermark(1, TEN, 90, 2, IDLE)).isEqualTo(TEN.minusSeconds(90));
    }

    @Test
    void aPartitionBeyondTheDeclaredOnesCounts() {
        watermark(0, TEN);
        assertThat(watermark(2, TEN.minusMinutes(5))).as("1 is missing").isEqualTo(UNKNOWN);
        assertThat(watermark(1, TEN)).isEqualTo(TEN.minusMinutes(5));
    }

    @Test
    void idleAtOnceIsNeverBeyondTheEvents() {
        watermark(0, TEN, 0, 2, 0);
        watermark(0, TEN, 0, 2, 0);
        now = START.plusSeconds(1);
        assertThat(watermark(0, TEN, 0, 2, 0)).isEqualTo(TEN);
    }

    @Test
    void arrivalsOfAClockThatIsSetBack() {
        watermark(0, TEN);
        watermark(1, TEN);
        now = START.minusHours(1);
        assertThat(watermark(0, TEN.plusMinutes(1))).isEqualTo(TEN);
        assertThat(watermark(1, TEN.plusMinutes(2))).isEqualTo(TEN.plusMinutes(1));
    }
}
