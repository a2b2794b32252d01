package lakehouse.rewrite;

import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.actions.BinPackRewriteFilePlanner;
import org.apache.iceberg.actions.RewriteDataFiles;
import org.apache.iceberg.actions.SizeBasedFileRewritePlanner;

/** Options of a rewrite, with the names of Spark's procedures. */
public final class RewriteOptions {
    private enum Kind {
        BYTES("\\d{1,18}", "a number of bytes"),
        COUNT("[1-9]\\d{0,8}", "a number greater than 0"),
        RATIO("0?\\.\\d*[1-9]\\d*|1(\\.0*)?", "a ratio greater than 0 and at most 1"),
        BOOLEAN("true|false", "true or false"),
        ORDER(
                "none|(bytes|files)-(asc|desc)",
                "none, bytes-asc, bytes-desc, files-asc or files-desc");

        private final String pattern;
        private final String words;

        Kind(String pattern, String words) {
            this.pattern = pattern;
            this.words = words;
        }
    }

    private static final Map<String, Kind> OF_ALL_FILES =
            Map.ofEntries(
                    Map.entry(SizeBasedFileRewritePlanner.TARGET_FILE_SIZE_BYTES, Kind.BYTES),
                    Map.entry(SizeBasedFileRewritePlanner.MIN_FILE_SIZE_BYTES, Kind.BYTES),
                    Map.entry(SizeBasedFileRewritePlanner.MAX_FILE_SIZE_BYTES, Kind.BYTES),
                    Map.entry(SizeBasedFileRewritePlanner.MIN_INPUT_FILES, Kind.COUNT),
                    Map.entry(SizeBasedFileRewritePlanner.REWRITE_ALL, Kind.BOOLEAN),
                    Map.entry(SizeBasedFileRewritePlanner.MAX_FILE_GROUP_SIZE_BYTES, Kind.BYTES),
                    Map.entry(SizeBasedFileRewritePlanner.MAX_FILE_GROUP_INPUT_FILES, Kind.COUNT),
                    Map.entry(RewriteDataFiles.REWRITE_JOB_ORDER, Kind.ORDER),
                    Map.entry(RewriteDataFiles.MAX_CONCURRENT_FILE_GROUP_REWRITES, Kind.COUNT),
                    Map.entry(RewriteDataFiles.PARTIAL_PROGRESS_ENABLED, Kind.BOOLEAN),
                    Map.entry(RewriteDataFiles.PARTIAL_PROGRESS_MAX_COMMITS, Kind.COUNT));

    private static final Map<String, Kind> OF_DATA_FILES =
            Map.of(
                    BinPackRewriteFilePlanner.DELETE_FILE_THRESHOLD, Kind.COUNT,
                    BinPackRewriteFilePlanner.DELETE_RATIO_THRESHOLD, Kind.RATIO,
                    BinPackRewriteFilePlanner.MAX_FILES_TO_REWRITE, Kind.COUNT,
                    RewriteDataFiles.USE_STARTING_SEQUENCE_NUMBER, Kind.BOOLEAN);

    private final Map<String, String> values;

    private RewriteOptions(Map<String, String> values) {
        this.values = values;
    }

    /**
     * @throws ValidationException if an option is unknown or has an invalid value
     */
    public static RewriteOptions ofDataFiles(Map<String, String> values) {
        Map<String, Kind> known = new TreeMap<>(OF_ALL_FILES);
        known.putAll(OF_DATA_FILES);
        return of(known, values);
    }

    /**
     * @throws ValidationException if an option is unknown or has an invalid value
     */
    public static RewriteOptions ofDeleteFiles(Map<String, String> values) {
        return of(new TreeMap<>(OF_ALL_FILES), values);
    }

    private static RewriteOptions of(Map<String, Kind> known, Map<String, String> values) {
        values.forEach(
                (name, value) -> {
                    Kind kind = known.get(name);
                    if (kind == null) {
                        throw new ValidationException(
                                "options => '"
                                        + name
                                        + "="
                                        + value
                                        + "': unknown option "
                                        + name
                                        + "; the options are "
                                        + known.keySet());
                    }
                    if (!value.matches(kind.pattern)) {
                        throw new ValidationException(
                                "options => '" + name + "=" + value + "' is not " + kind.words);
                    }
                });
        return new RewriteOptions(Map.copyOf(values));
    }

    /**
     * Configures the planner.
     *
     * @param groupBytes default maximum size of a group, in bytes
     * @param limit upper limit of this size, in bytes
     */
    void init(SizeBasedFileRewritePlanner<?, ?, ?, ?> planner, long groupBytes, long limit) {
        Map<String, String> all = new HashMap<>(values);
        String given = all.get(SizeBasedFileRewritePlanner.MAX_FILE_GROUP_SIZE_BYTES);
        long most = given == null ? groupBytes : Long.parseLong(given);
        all.put(
                SizeBasedFileRewritePlanner.MAX_FILE_GROUP_SIZE_BYTES,
                String.valueOf(Math.min(most, limit)));
        try {
            planner.init(all);
        } catch (IllegalArgumentException error) {
            throw new ValidationException(
                    "options => " + new TreeMap<>(values) + ": " + error.getMessage(), error);
        }
    }

    /** Number of tasks that rewrite concurrently. */
    int parallelism(int otherwise) {
        String given = values.get(RewriteDataFiles.MAX_CONCURRENT_FILE_GROUP_REWRITES);
        return given == null ? otherwise : Integer.parseInt(given);
    }

    /** Whether groups are committed as they finish, instead of all or none. */
    boolean partialProgress() {
        return is(RewriteDataFiles.PARTIAL_PROGRESS_ENABLED);
    }

    int maxCommits() {
        String given = values.get(RewriteDataFiles.PARTIAL_PROGRESS_MAX_COMMITS);
        return given == null
                ? RewriteDataFiles.PARTIAL_PROGRESS_MAX_COMMITS_DEFAULT
                : Integer.parseInt(given);
    }

    boolean startingSequenceNumber() {
        return is(RewriteDataFiles.USE_STARTING_SEQUENCE_NUMBER);
    }

    private boolean is(String name) {
        return Boolean.parseBoolean(values.getOrDefault(name, "true"));
    }
}
