package lakehouse.eventtime;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.iceberg.BaseCombinedScanTask;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;

/**
 * A time among the splits that a reader saves: a split without files. So the state remains one of
 * Iceberg's, which the maintenance of tables reads too.
 */
enum SavedTime {
    EMITTED,
    LARGEST;

    IcebergSourceSplit split(long time) {
        return IcebergSourceSplit.fromCombinedScanTask(
                new BaseCombinedScanTask(List.of()), ordinal(), time);
    }

    static boolean isIn(IcebergSourceSplit split) {
        return split.task().files().isEmpty();
    }

    /** The latest of these times in the splits, or {@code otherwise}. */
    long latest(List<IcebergSourceSplit> splits, long otherwise) {
        return splits.stream()
                .filter(split -> isIn(split) && split.fileOffset() == ordinal())
                .mapToLong(IcebergSourceSplit::recordOffset)
                .reduce(otherwise, Math::max);
    }

    /** Iceberg's, which reads a split without files, but refuses to write one. */
    record Serializer(SimpleVersionedSerializer<IcebergSourceSplit> iceberg)
            implements SimpleVersionedSerializer<IcebergSourceSplit> {
        @Override
        public int getVersion() {
            return iceberg.getVersion();
        }

        @Override
        public byte[] serialize(IcebergSourceSplit split) throws IOException {
            if (!isIn(split)) {
                return iceberg.serialize(split);
            }
            return ByteBuffer.allocate(2 * Integer.BYTES + Long.BYTES)
                    .putInt(split.fileOffset())
                    .putLong(split.recordOffset())
                    .putInt(0) // files
                    .array();
        }

        @Override
        public IcebergSourceSplit deserialize(int version, byte[] split) throws IOException {
            return iceberg.deserialize(version, split);
        }
    }
}
