package lakehouse.rewrite;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.runtime.generated.NormalizedKeyComputer;
import org.apache.flink.table.types.logical.utils.LogicalTypeChecks;

/**
 * The first bytes of the sort key, in an encoding that preserves the order, so that most
 * comparisons need not read the rows. {@link RowOrder} breaks ties.
 */
class SortKey implements NormalizedKeyComputer {
    private static final int LENGTH = 24;

    private final RowOrder order;
    private final byte[] bytes = new byte[LENGTH];
    private final byte[] swap = new byte[LENGTH];

    SortKey(RowOrder order) {
        this.order = order;
    }

    @Override
    public void putKey(RowData row, MemorySegment target, int offset) {
        Arrays.fill(bytes, (byte) 0);
        ByteBuffer key = ByteBuffer.wrap(bytes);
        for (RowOrder.Column column : order.columns()) {
            if (!key.hasRemaining()) {
                break;
            }
            boolean isNull = row.isNullAt(column.position());
            key.put((byte) (!isNull ? 1 : column.nullsFirst() ? 0 : 2));
            // More columns may follow only if this one has the same number of bytes in all rows
            // without a NULL.
            if (!isNull) {
                int start = key.position();
                boolean whole = put(row, column, key);
                if (column.descending()) {
                    int end = whole ? key.position() : LENGTH;
                    for (int i = start; i < end; i++) {
                        bytes[i] = (byte) ~bytes[i];
                    }
                }
                if (!whole) {
                    break;
                }
            }
        }
        target.put(offset, bytes);
    }

    /** Whether the value was written completely, with a size that depends only on its type. */
    private static boolean put(RowData row, RowOrder.Column column, ByteBuffer key) {
        int position = column.position();
        switch (column.type().getTypeRoot()) {
            case BOOLEAN:
                return put(key, row.getBoolean(position) ? 1 : 0, 1);
            case INTEGER:
            case DATE:
                return put(key, row.getInt(position) ^ Integer.MIN_VALUE, 4);
            case BIGINT:
                return put(key, row.getLong(position) ^ Long.MIN_VALUE, 8);
            case FLOAT:
                int single = Float.floatToIntBits(row.getFloat(position));
                return put(key, single ^ (single < 0 ? -1 : Integer.MIN_VALUE), 4);
            case DOUBLE:
                long twice = Double.doubleToLongBits(row.getDouble(position));
                return put(key, twice ^ (twice < 0 ? -1 : Long.MIN_VALUE), 8);
            case TIMESTAMP_WITHOUT_TIME_ZONE:
            case TIMESTAMP_WITH_LOCAL_TIME_ZONE:
                TimestampData time =
                        row.getTimestamp(position, LogicalTypeChecks.getPrecision(column.type()));
                return put(key, time.getMillisecond() ^ Long.MIN_VALUE, 8)
                        && put(key, time.getNanoOfMillisecond(), 4);
            case CHAR:
            case VARCHAR:
                byte[] text = row.getString(position).toBytes();
                key.put(text, 0, Math.min(text.length, key.remaining()));
                return false;
            case BINARY:
            case VARBINARY:
                byte[] binary = row.getBinary(position);
                key.put(binary, 0, Math.min(binary.length, key.remaining()));
                return false;
            default:
                return false;
        }
    }

    private static boolean put(ByteBuffer key, long value, int length) {
        for (int i = length - 1; i >= 0 && key.hasRemaining(); i--) {
            key.put((byte) (value >>> (8 * i)));
        }
        return key.hasRemaining();
    }

    @Override
    public int compareKey(
            MemorySegment left, int leftOffset, MemorySegment right, int rightOffset) {
        return left.compare(right, leftOffset, rightOffset, LENGTH);
    }

    @Override
    public void swapKey(MemorySegment left, int leftOffset, MemorySegment right, int rightOffset) {
        left.swapBytes(swap, right, leftOffset, rightOffset, LENGTH);
    }

    @Override
    public int getNumKeyBytes() {
        return LENGTH;
    }

    @Override
    public boolean isKeyFullyDetermines() {
        return false;
    }

    @Override
    public boolean invertKey() {
        return false;
    }
}
