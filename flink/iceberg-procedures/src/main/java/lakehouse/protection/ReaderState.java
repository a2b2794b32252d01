package lakehouse.protection;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.io.SimpleVersionedSerialization;
import org.apache.flink.core.memory.DataInputViewStreamWrapper;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;
import org.apache.iceberg.flink.source.split.IcebergSourceSplitSerializer;

/**
 * The progress of a streaming reader of an Iceberg table, from a checkpoint.
 *
 * @param operator the operator's name in the job
 * @param readable false if the state is not that of an Iceberg source, or has an unknown version
 * @param snapshotId the last snapshot that it has discovered; null before the first
 * @param files files that it has discovered but not read completely
 */
record ReaderState(String operator, boolean readable, Long snapshotId, Set<String> files) {
    /** Name of the state in which a source's tasks keep their assigned splits. */
    private static final String ASSIGNED = "SourceReaderState";

    /**
     * Names of the states of the older source, which is selected by {@code
     * use-flip27-source=false}.
     */
    private static final String OLD_POSITION = "snapshot-id-state";

    private static final String OLD_SPLITS = "splits";

    private static final IcebergSourceSplitSerializer SPLITS =
            new IcebergSourceSplitSerializer(true);

    /** The state of an operator; empty if it is not a source. */
    static Optional<ReaderState> of(OperatorState operator) throws IOException {
        if (operator.getCoordinatorState() == null) {
            return ofOldSource(operator);
        }
        String name = OperatorNames.of(operator);
        Input in = new Input(operator.getCoordinatorState().getData());
        List<byte[]> splits = new ArrayList<>();
        Long snapshotId;
        int splitVersion;
        try {
            in.readInt(); // version of Flink's coordinator
            int version = in.readInt();
            Input state = new Input(in.bytes());
            snapshotId = state.flag() ? position(state) : null;
            splitVersion = state.readInt();
            for (int left = state.readInt(); left > 0; left--) {
                splits.add(state.bytes());
                state.readUTF();
            }
            for (int left = version == 1 ? 0 : state.readInt(); left > 0; left--) {
                state.readInt();
            }
            state.end();
            in.end();
        } catch (IOException error) {
            return Optional.of(new ReaderState(name, false, null, Set.of()));
        }
        Set<String> files = new HashSet<>();
        for (byte[] split : splits) {
            add(files, SPLITS.deserialize(splitVersion, split));
        }
        for (OperatorSubtaskState task : operator.getStates()) {
            for (OperatorStateHandle handle : task.getManagedOperatorState()) {
                addAssigned(files, handle);
            }
        }
        return Optional.of(new ReaderState(name, true, snapshotId, files));
    }

    /** The older source consists of two operators: one discovers files, the other reads them. */
    private static Optional<ReaderState> ofOldSource(OperatorState operator) throws IOException {
        String name = OperatorNames.of(operator);
        for (OperatorSubtaskState task : operator.getStates()) {
            for (OperatorStateHandle handle : task.getManagedOperatorState()) {
                long[] position = offsets(handle, OLD_POSITION);
                if (position.length > 0) {
                    return Optional.of(
                            new ReaderState(name, true, oldPosition(handle, position), Set.of()));
                }
                // These are unread files; the position is in the other operator's state.
                if (offsets(handle, OLD_SPLITS).length > 0) {
                    return Optional.of(new ReaderState(name, false, null, Set.of()));
                }
            }
        }
        return Optional.empty();
    }

    private static Long oldPosition(OperatorStateHandle handle, long[] offsets) throws IOException {
        try (FSDataInputStream in = handle.openInputStream()) {
            in.seek(offsets[0]);
            long snapshotId = new DataInputStream(in).readLong();
            return snapshotId == -1 ? null : snapshotId;
        }
    }

    private static long[] offsets(OperatorStateHandle handle, String name) {
        OperatorStateHandle.StateMetaInfo state = handle.getStateNameToPartitionOffsets().get(name);
        return state == null ? new long[0] : state.getOffsets();
    }

    private static Long position(Input state) throws IOException {
        state.readInt(); // version
        Input position = new Input(state.bytes());
        return position.flag() ? position.readLong() : null;
    }

    private static void addAssigned(Set<String> files, OperatorStateHandle handle)
            throws IOException {
        long[] assigned = offsets(handle, ASSIGNED);
        if (assigned.length == 0) {
            return;
        }
        try (FSDataInputStream in = handle.openInputStream()) {
            for (long offset : assigned) {
                in.seek(offset);
                byte[] split =
                        BytePrimitiveArraySerializer.INSTANCE.deserialize(
                                new DataInputViewStreamWrapper(in));
                add(files, SimpleVersionedSerialization.readVersionAndDeSerialize(SPLITS, split));
            }
        }
    }

    private static void add(Set<String> files, IcebergSourceSplit split) {
        for (FileScanTask task : split.task().files()) {
            files.add(task.file().location());
        }
    }

    /** Rejects unexpected data, because it is tried on the states of other sources, too. */
    private static class Input extends DataInputStream {
        Input(byte[] bytes) {
            super(new ByteArrayInputStream(bytes));
        }

        boolean flag() throws IOException {
            int value = readUnsignedByte();
            if (value > 1) {
                throw new IOException("not a flag");
            }
            return value == 1;
        }

        byte[] bytes() throws IOException {
            int length = readInt();
            if (length < 0 || length > available()) {
                throw new IOException("not a length");
            }
            return readNBytes(length);
        }

        void end() throws IOException {
            if (available() > 0) {
                throw new IOException("unexpected data at the end");
            }
        }
    }
}
