package lakehouse.protection;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileStatus;
import org.apache.flink.core.fs.local.LocalFileSystem;

/**
 * The saved states in a folder, at any depth: {@code <job id>/chk-<n>} and {@code savepoint-<six
 * digits of the job id>-<random>}; in {@code checkpoints/<job>} and {@code savepoints/<job>} if
 * each job has its own folder, which is not Flink's default.
 */
class SavedStates {
    private static final Comparator<SavedState> AGE =
            Comparator.comparingLong(SavedState::writtenAt).thenComparingLong(SavedState::number);

    private static final Pattern JOB_ID = Pattern.compile("[0-9a-f]{32}");

    private static final Pattern STATE =
            Pattern.compile(
                    "(?:(?:checkpoints|savepoints)/)?(?:(?<job>.+)/)?"
                            + "(?:(?<run>[0-9a-f]{32})/chk-(?<number>\\d+)"
                            + "|savepoint-(?<digits>[0-9a-f]{6})-[0-9a-f]+)");

    /** Folders shared by a run's checkpoints: many files, but no metadata. */
    private static final Set<String> PARTS = Set.of("shared", "taskowned");

    private final FileSystem files;
    private final List<SavedState> states = new ArrayList<>();
    private final List<Path> unknown = new ArrayList<>();

    SavedStates(String folder) throws IOException {
        Path root = new Path(folder);
        files = root.getFileSystem();
        if (!files.exists(root)) {
            throw new FileNotFoundException("there is no folder " + folder);
        }
        find(root, "");
    }

    /** Every state that a job can be restored from. */
    List<SavedState> all() {
        return states;
    }

    /** States that cannot be assigned to a job. */
    List<Path> unknown() {
        return unknown;
    }

    /** The newest state of each job. */
    Collection<SavedState> newest() {
        return states.stream()
                .collect(
                        Collectors.toMap(
                                SavedState::jobName,
                                state -> state,
                                (a, b) -> AGE.compare(a, b) < 0 ? b : a))
                .values();
    }

    /**
     * @param way path of the folder, relative to the root
     */
    private void find(Path folder, String way) throws IOException {
        boolean run = JOB_ID.matcher(folder.getName()).matches();
        for (FileStatus entry : list(folder)) {
            String name = entry.getPath().getName();
            if (!entry.isDir()) {
                // Flink writes this file last: without it, a state is incomplete.
                if (name.equals(SavedState.METADATA)) {
                    add(folder, way, entry.getModificationTime());
                }
            } else if (!(run && PARTS.contains(name))) {
                find(entry.getPath(), way.isEmpty() ? name : way + "/" + name);
            }
        }
    }

    private void add(Path path, String way, long writtenAt) {
        Matcher state = STATE.matcher(way);
        if (!state.matches()) {
            unknown.add(path);
            return;
        }
        boolean checkpoint = state.group("run") != null;
        String jobId = state.group(checkpoint ? "run" : "digits");
        String jobName = state.group("job") == null ? jobId : state.group("job");
        long number = checkpoint ? Long.parseLong(state.group("number")) : 0;
        states.add(new SavedState(path, jobName, jobId, number, writtenAt));
    }

    private FileStatus[] list(Path folder) throws IOException {
        if (files instanceof LocalFileSystem) {
            return listLocal((LocalFileSystem) files, folder);
        }
        try {
            FileStatus[] found = files.listStatus(folder);
            return found == null ? new FileStatus[0] : found;
        } catch (FileNotFoundException gone) {
            return new FileStatus[0];
        }
    }

    /**
     * Flink's own listing fails on a name with a colon, such as that of a TaskManager's working
     * directory ({@code tm_<host>:<port>-<id>}).
     */
    private static FileStatus[] listLocal(LocalFileSystem local, Path folder) {
        File[] found = local.pathToFile(folder).listFiles();
        return found == null
                ? new FileStatus[0]
                : Arrays.stream(found)
                        .map(file -> new LocalFileStatus(file, local))
                        .toArray(FileStatus[]::new);
    }
}
