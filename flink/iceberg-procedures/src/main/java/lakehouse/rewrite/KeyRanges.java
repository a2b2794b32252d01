package lakehouse.rewrite;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.flink.core.memory.MemorySegmentFactory;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.data.binary.BinarySegmentUtils;
import org.apache.flink.table.data.utils.ProjectedRowData;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;

/** Ranges of sort keys: all rows of a range come before all rows of the next. */
final class KeyRanges implements Serializable {
    private static final long serialVersionUID = 1L;

    private final RowOrder order;
    private final RowOrder ofKeys;
    private final List<byte[]> bounds;
    private transient List<RowData> ends;
    private transient ProjectedRowData key;

    /**
     * @param order sort order of the rows
     * @param sample sort keys of some rows
     * @param count number of ranges, which have about the same number of rows
     */
    KeyRanges(RowOrder order, List<byte[]> sample, int count) {
        this.order = order;
        this.ofKeys = order.ofKeys();
        List<byte[]> keys = new ArrayList<>(sample);
        keys.sort((left, right) -> ofKeys.compare(fromBytes(left), fromBytes(right)));
        bounds = new ArrayList<>();
        for (int i = 1; i < count && !keys.isEmpty(); i++) {
            bounds.add(keys.get((int) ((long) i * keys.size() / count)));
        }
    }

    /** The index of a row's range, from 0. */
    int of(RowData row) {
        if (ends == null) {
            ends = bounds.stream().map(this::fromBytes).toList();
            key = ProjectedRowData.from(order.positions());
        }
        int found = Collections.binarySearch(ends, key.replaceRow(row), ofKeys::compare);
        return found < 0 ? -found - 1 : found + 1;
    }

    private RowData fromBytes(byte[] bytes) {
        BinaryRowData row = new BinaryRowData(ofKeys.columns().size());
        row.pointTo(MemorySegmentFactory.wrap(bytes), 0, bytes.length);
        return row;
    }

    /** Serializes the sort keys of rows. */
    static final class KeyBytes {
        private final ProjectedRowData key;
        private final RowDataSerializer serializer;

        KeyBytes(RowOrder order) {
            key = ProjectedRowData.from(order.positions());
            serializer = new RowDataSerializer(order.keyType());
        }

        byte[] of(RowData row) {
            BinaryRowData binary = serializer.toBinaryRow(key.replaceRow(row));
            return BinarySegmentUtils.copyToBytes(
                    binary.getSegments(), binary.getOffset(), binary.getSizeInBytes());
        }
    }
}
