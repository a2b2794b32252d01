package lakehouse;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.apache.flink.core.io.SimpleVersionedSerialization;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.OperatorStreamStateHandle;
import org.apache.flink.runtime.state.memory.ByteStreamStateHandle;
import org.apache.iceberg.flink.source.enumerator.Positions;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;
import org.apache.iceberg.flink.source.split.IcebergSourceSplitSerializer;

/** Writes checkpoints and savepoints in Flink's format. */
final class States {
    private States() {}

    static void write(Path folder, OperatorState... operators) throws IOException {
        Files.createDirectories(folder);
        try (DataOutputStream out =
                new DataOutputStream(Files.newOutputStream(folder.resolve("_metadata")))) {
            Checkpoints.storeCheckpointMetadata(
                    new CheckpointMetadata(3, List.of(operators), List.of()), out);
        }
    }

    /** An Iceberg source; {@code assigned} are files that its task has not read completely. */
    static OperatorState reader(
            String name,
            Long snapshotId,
            List<IcebergSourceSplit> pending,
            List<IcebergSourceSplit> assigned)
            throws IOException {
        OperatorState operator = NamedOperator.state(name, new OperatorID());
        operator.setCoordinatorState(coordinator(2, Positions.write(snapshotId, pending)));
        if (!assigned.isEmpty()) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(bytes);
            long[] offsets = new long[assigned.size()];
            for (int i = 0; i < offsets.length; i++) {
                offsets[i] = out.size();
                byte[] split =
                        SimpleVersionedSerialization.writeVersionAndSerialize(
                                new IcebergSourceSplitSerializer(true), assigned.get(i));
                out.writeInt(split.length);
                out.write(split);
            }
            OperatorStateHandle handle =
                    new OperatorStreamStateHandle(
                            Map.of(
                                    "SourceReaderState",
                                    new OperatorStateHandle.StateMetaInfo(
                                            offsets, OperatorStateHandle.Mode.SPLIT_DISTRIBUTE)),
                            new ByteStreamStateHandle("assigned", bytes.toByteArray()));
            operator.putState(
                    0, OperatorSubtaskState.builder().setManagedOperatorState(handle).build());
        }
        return operator;
    }

    /** An operator with list state of the given size in bytes. */
    static OperatorState tasks(String name, String list, int length) {
        OperatorState operator = NamedOperator.state(name, new OperatorID());
        long[] offsets = LongStream.range(0, length).toArray();
        OperatorStateHandle handle =
                new OperatorStreamStateHandle(
                        Map.of(
                                list,
                                new OperatorStateHandle.StateMetaInfo(
                                        offsets, OperatorStateHandle.Mode.SPLIT_DISTRIBUTE)),
                        new ByteStreamStateHandle(list, new byte[length]));
        operator.putState(
                0, OperatorSubtaskState.builder().setManagedOperatorState(handle).build());
        return operator;
    }

    /** A source that is not Iceberg's. */
    static OperatorState other(String name, byte[] state) throws IOException {
        OperatorState operator = NamedOperator.state(name, new OperatorID());
        operator.setCoordinatorState(coordinator(3, state));
        return operator;
    }

    private static ByteStreamStateHandle coordinator(int version, byte[] state) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeInt(1);
        out.writeInt(version);
        out.writeInt(state.length);
        out.write(state);
        return new ByteStreamStateHandle("coordinator", bytes.toByteArray());
    }
}
