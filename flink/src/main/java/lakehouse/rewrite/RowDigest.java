package lakehouse.rewrite;

import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.relocated.com.google.common.hash.HashFunction;
import org.apache.iceberg.relocated.com.google.common.hash.Hashing;

import java.io.Serializable;
import java.nio.ByteBuffer;

/** How many rows, and a sum of their hashes: equal for the same rows in any order. */
class RowDigest {
    /**
     * Rows and both halves of the sum. A sum, and not an exclusive or, so that a row that came
     * twice counts twice.
     */
    record Value(long rows, long high, long low) implements Serializable {}

    private static final HashFunction HASH = Hashing.murmur3_128();

    private final RowDataSerializer serializer;
    private long rows;
    private long high;
    private long low;

    RowDigest(RowType type) {
        serializer = new RowDataSerializer(type);
    }

    void add(RowData row) {
        BinaryRowData binary = serializer.toBinaryRow(row);
        byte[] bytes = binary.getSegments()[0].getArray();
        ByteBuffer hash =
                ByteBuffer.wrap(
                        HASH.hashBytes(bytes, binary.getOffset(), binary.getSizeInBytes())
                                .asBytes());
        rows++;
        high += hash.getLong();
        low += hash.getLong();
    }

    Value value() {
        return new Value(rows, high, low);
    }
}
