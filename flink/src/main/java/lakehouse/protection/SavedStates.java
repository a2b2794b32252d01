package lakehouse.protection;

import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;

/**
 * The states that lie below a folder: {@code checkpoints/<job>/<job id>/chk-<n>} and {@code
 * savepoints/<job>/savepoint-<six digits of the job id>-<random>}.
 */
class SavedStates {
    private static final Comparator<SavedState> AGE =
            Comparator.comparingLong(SavedState::writtenAt).thenComparingLong(SavedState::number);

    private final List<SavedState> states = new ArrayList<>();

    SavedStates(String folder) throws IOException {
        Path root = new Path(folder);
        FileSystem files = root.getFileSystem();
        if (!files.exists(root)) {
            throw new FileNotFoundException("there is no folder " + folder);
        }
        for (FileStatus job : folders(files, new Path(root, "checkpoints"))) {
            for (FileStatus run : folders(files, job.getPath())) {
                for (FileStatus checkpoint : folders(files, run.getPath())) {
                    String name = checkpoint.getPath().getName();
                    if (name.matches("chk-\\d+")) {
                        add(
                                files,
                                checkpoint.getPath(),
                                job,
                                run.getPath().getName(),
                                Long.parseLong(name.substring(4)));
                    }
                }
            }
        }
        for (FileStatus job : folders(files, new Path(root, "savepoints"))) {
            for (FileStatus savepoint : folders(files, job.getPath())) {
                String[] name = savepoint.getPath().getName().split("-");
                if (name.length == 3 && name[0].equals("savepoint")) {
                    add(files, savepoint.getPath(), job, name[1], 0);
                }
            }
        }
    }

    /** All that a job can be restored from. */
    List<SavedState> all() {
        return states;
    }

    /** The newest of each job. */
    Collection<SavedState> newest() {
        return states.stream()
                .collect(
                        Collectors.toMap(
                                SavedState::jobName,
                                state -> state,
                                (a, b) -> AGE.compare(a, b) < 0 ? b : a))
                .values();
    }

    /** Flink writes the metadata last: without it a state is incomplete. */
    private void add(FileSystem files, Path path, FileStatus job, String jobId, long number)
            throws IOException {
        try {
            long writtenAt =
                    files.getFileStatus(new Path(path, SavedState.METADATA)).getModificationTime();
            states.add(new SavedState(path, job.getPath().getName(), jobId, number, writtenAt));
        } catch (FileNotFoundException incomplete) {
            return;
        }
    }

    private static List<FileStatus> folders(FileSystem files, Path path) throws IOException {
        try {
            FileStatus[] found = files.listStatus(path);
            return found == null
                    ? List.of()
                    : List.of(found).stream().filter(FileStatus::isDir).toList();
        } catch (FileNotFoundException gone) {
            return List.of();
        }
    }
}
