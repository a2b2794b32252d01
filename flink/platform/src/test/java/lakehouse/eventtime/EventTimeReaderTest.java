package lakehouse.eventtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.Proxy;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;
import org.apache.iceberg.flink.source.split.IcebergSourceSplitSerializer;
import org.junit.jupiter.api.Test;

/** What the reader saves, with an Iceberg's reader that has no splits. */
class EventTimeReaderTest {
    private static final LocalDateTime TEN = LocalDateTime.of(2024, 1, 5, 10, 0);

    private final List<RowData> rows = new ArrayList<>();
    private final List<String> emitted = new ArrayList<>();
    private final ReaderOutput<RowData> output =
            stub(
                    ReaderOutput.class,
                    (method, arguments) ->
                            emitted.add(
                                    method.equals("emitWatermark")
                                            ? "watermark " + time((Watermark) arguments[0])
                                            : "row"));

    private interface Answer {
        Object to(String method, Object[] arguments);
    }

    @SuppressWarnings("unchecked")
    private static <T> T stub(Class<?> type, Answer answer) {
        return (T)
                Proxy.newProxyInstance(
                        type.getClassLoader(),
                        new Class<?>[] {type},
                        (self, method, arguments) -> {
                            Object result = answer.to(method.getName(), arguments);
                            return method.getReturnType() == void.class ? null : result;
                        });
    }

    private static LocalDateTime time(Watermark watermark) {
        return TimestampData.fromEpochMillis(watermark.getTimestamp()).toLocalDateTime();
    }

    private EventTimeReader reader() {
        SourceReader<RowData, IcebergSourceSplit> iceberg =
                stub(
                        SourceReader.class,
                        (method, arguments) ->
                                switch (method) {
                                    case "snapshotState" -> List.of();
                                    case "pollNext" -> {
                                        rows.forEach(row -> collect(arguments[0], row));
                                        rows.clear();
                                        yield InputStatus.NOTHING_AVAILABLE;
                                    }
                                    default -> throw new AssertionError(method);
                                });
        return new EventTimeReader(iceberg, 0);
    }

    @SuppressWarnings("unchecked")
    private static void collect(Object output, RowData row) {
        ((ReaderOutput<RowData>) output).collect(row);
    }

    private void read(EventTimeReader reader, LocalDateTime... watermarks) throws Exception {
        for (LocalDateTime watermark : watermarks) {
            rows.add(GenericRowData.of(TimestampData.fromLocalDateTime(watermark)));
        }
        reader.pollNext(output);
    }

    /** A reader with what this one saves, written and read as a checkpoint is. */
    private EventTimeReader restarted(EventTimeReader reader) throws Exception {
        var iceberg = new IcebergSourceSplitSerializer(true);
        var serializer = new SavedTime.Serializer(iceberg);
        List<IcebergSourceSplit> splits = new ArrayList<>();
        for (IcebergSourceSplit split : reader.snapshotState(1)) {
            byte[] saved = serializer.serialize(split);
            assertThat(iceberg.deserialize(iceberg.getVersion(), saved).task().files())
                    .as("as Iceberg's own code reads it")
                    .isEmpty();
            splits.add(serializer.deserialize(serializer.getVersion(), saved));
        }
        emitted.clear();
        EventTimeReader restarted = reader();
        restarted.addSplits(splits);
        return restarted;
    }

    @Test
    void theWatermarkIsEmittedBeforeTheFirstRow() throws Exception {
        EventTimeReader reader = reader();
        read(reader, TEN, TEN.minusMinutes(1));
        reader.handleSourceEvents(new AllRead());
        assertThat(emitted).containsExactly("row", "row", "watermark " + TEN);
        reader = restarted(reader);
        read(reader, TEN.minusMinutes(2));
        reader.handleSourceEvents(new AllRead());
        assertThat(emitted).containsExactly("watermark " + TEN, "row");
    }

    @Test
    void theWatermarkOfRowsThatWereReadBeforeIsKept() throws Exception {
        EventTimeReader reader = reader();
        read(reader, TEN);
        reader = restarted(reader);
        reader.handleSourceEvents(new AllRead());
        assertThat(emitted).as("there is no output yet").isEmpty();
        read(reader, TEN.plusMinutes(1));
        assertThat(emitted).containsExactly("watermark " + TEN, "row");
        reader.handleSourceEvents(new AllRead());
        assertThat(emitted).endsWith("watermark " + TEN.plusMinutes(1));
    }

    @Test
    void nothingIsEmittedBeforeAnyRow() throws Exception {
        EventTimeReader reader = restarted(reader());
        reader.handleSourceEvents(new AllRead());
        read(reader);
        assertThat(emitted).isEmpty();
    }
}
