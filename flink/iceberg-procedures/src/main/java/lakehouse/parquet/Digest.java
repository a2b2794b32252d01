package lakehouse.parquet;

import java.nio.ByteBuffer;
import org.apache.iceberg.shaded.org.apache.parquet.io.api.Binary;

/** A digest of a sequence of 64-bit words; it depends on every word and on their order. */
final class Digest {
    private long value;

    void add(long word) {
        value = Long.rotateLeft((value ^ word) * 0x9E3779B97F4A7C15L, 29);
    }

    static long of(Binary binary) {
        ByteBuffer bytes = binary.toByteBuffer();
        Digest digest = new Digest();
        digest.add(bytes.remaining());
        while (bytes.remaining() >= Long.BYTES) {
            digest.add(bytes.getLong());
        }
        while (bytes.hasRemaining()) {
            digest.add(bytes.get());
        }
        return digest.value;
    }

    /** Mixed so that each bit depends on all words, which allows digests to be added up. */
    long value() {
        long mixed = (value ^ (value >>> 33)) * 0xFF51AFD7ED558CCDL;
        mixed = (mixed ^ (mixed >>> 33)) * 0xC4CEB9FE1A85EC53L;
        return mixed ^ (mixed >>> 33);
    }
}
