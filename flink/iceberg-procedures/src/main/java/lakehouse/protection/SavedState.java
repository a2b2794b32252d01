package lakehouse.protection;

import java.io.DataInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;

/**
 * A complete checkpoint or savepoint.
 *
 * @param jobName the job's, in whichever run; its ID where jobs have no folder of their own
 * @param jobId of the run that wrote it; of a savepoint only its first six digits are known
 * @param number counts on from checkpoint to checkpoint; 0 where the path does not say it
 */
record SavedState(Path path, String jobName, String jobId, long number, long writtenAt) {
    static final String METADATA = "_metadata";

    boolean isOf(String job) {
        return job.startsWith(jobId);
    }

    /** Every source of the job. */
    List<ReaderState> readers() throws IOException {
        Path metadata = new Path(path, METADATA);
        List<ReaderState> readers = new ArrayList<>();
        try (DataInputStream in = new DataInputStream(metadata.getFileSystem().open(metadata))) {
            for (OperatorState operator :
                    Checkpoints.loadCheckpointMetadata(
                                    in, getClass().getClassLoader(), path.toString())
                            .getOperatorStates()) {
                ReaderState.of(operator).ifPresent(readers::add);
            }
        }
        return readers;
    }
}
