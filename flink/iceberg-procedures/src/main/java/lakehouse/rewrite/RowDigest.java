package lakehouse.rewrite;

import java.io.Serializable;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.RowType;

/** The number of rows and the sum of their hashes: equal for the same rows in any order. */
class RowDigest {
    /**
     * Number of rows, and both halves of the sum. A sum rather than an exclusive or, so that a
     * duplicated row counts twice.
     */
    record Value(long rows, long high, long low) implements Serializable {
        static final Value NOTHING = new Value(0, 0, 0);

        Value plus(Value other) {
            return new Value(rows + other.rows, high + other.high, low + other.low);
        }
    }

    private final RowDataSerializer serializer;
    private long rows;
    private long high;
    private long low;

    RowDigest(RowType type) {
        serializer = new RowDataSerializer(type);
    }

    /** Equal rows have equal bytes in this format, which consists of whole words. */
    void add(RowData row) {
        BinaryRowData binary = serializer.toBinaryRow(row);
        MemorySegment bytes = binary.getSegments()[0];
        int end = binary.getOffset() + binary.getSizeInBytes();
        long first = binary.getSizeInBytes();
        long second = ~first;
        for (int offset = binary.getOffset(); offset < end; offset += Long.BYTES) {
            long word = bytes.getLong(offset);
            first = Long.rotateLeft((first ^ word) * 0x9E3779B97F4A7C15L, 29);
            second = (second + Long.rotateLeft(word, 32)) * 0xD6E8FEB86659FD93L;
            second ^= second >>> 32;
        }
        rows++;
        high += mixed(first);
        low += mixed(second);
    }

    /** MurmurHash3's finalizer: each bit of the result depends on all bits. */
    private static long mixed(long hash) {
        long mixed = (hash ^ (hash >>> 33)) * 0xFF51AFD7ED558CCDL;
        mixed = (mixed ^ (mixed >>> 33)) * 0xC4CEB9FE1A85EC53L;
        return mixed ^ (mixed >>> 33);
    }

    Value value() {
        return new Value(rows, high, low);
    }
}
