package org.apache.iceberg.flink.source.enumerator;

import java.io.IOException;
import java.util.List;
import org.apache.iceberg.flink.source.split.IcebergSourceSplit;
import org.apache.iceberg.flink.source.split.IcebergSourceSplitState;
import org.apache.iceberg.flink.source.split.IcebergSourceSplitStatus;

/** Serializes states of Iceberg's source with Iceberg's own code, which is package-private. */
public final class Positions {
    private Positions() {}

    /**
     * @param snapshotId null before the first snapshot
     */
    public static byte[] write(Long snapshotId, List<IcebergSourceSplit> pending)
            throws IOException {
        IcebergEnumeratorPosition position =
                snapshotId == null
                        ? IcebergEnumeratorPosition.empty()
                        : IcebergEnumeratorPosition.of(snapshotId, 0L);
        List<IcebergSourceSplitState> splits =
                pending.stream()
                        .map(
                                split ->
                                        new IcebergSourceSplitState(
                                                split, IcebergSourceSplitStatus.UNASSIGNED))
                        .toList();
        return new IcebergEnumeratorStateSerializer(true)
                .serialize(new IcebergEnumeratorState(position, splits));
    }
}
