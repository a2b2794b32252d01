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
 * @param jobName the job's name, the same in all runs; its ID if jobs do not have separate folders
 * @param jobId ID of the run that wrote it; for a savepoint, only its first six digits
 * @param number the checkpoint's number; 0 if the path does not contain it
 */
record SavedState(Path path, String jobName, String jobId, long number, long writtenAt) {
    static final String METADATA = "_metadata";

    boolean isOf(String job) {
        return job.startsWith(jobId);
    }

    /** The state of each source of the job. */
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
