package lakehouse.statistics;

import java.nio.ByteBuffer;

/**
 * A task's sketch of a column; sent as bytes, so that no serializer for this class is needed.
 *
 * @param place index of the column among the requested ones
 */
record Sketch(int place, byte[] theta) {
    byte[] toBytes() {
        return ByteBuffer.allocate(Integer.BYTES + theta.length).putInt(place).put(theta).array();
    }

    static Sketch fromBytes(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        int place = buffer.getInt();
        byte[] theta = new byte[buffer.remaining()];
        buffer.get(theta);
        return new Sketch(place, theta);
    }
}
