package lakehouse.statistics;

import java.nio.ByteBuffer;

/**
 * What a task tells of a column, as bytes so that no serializer has to know this class.
 *
 * @param place of the column among those that were asked for
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
