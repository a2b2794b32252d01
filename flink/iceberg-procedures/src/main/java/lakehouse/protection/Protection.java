package lakehouse.protection;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongPredicate;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import lakehouse.rewrite.DeletesRewrite;
import lakehouse.rewrite.Rewrite;
import lakehouse.table.References;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.Path;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataOperations;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.SnapshotRef;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.util.SnapshotUtil;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which snapshots of a table are still needed, and by whom.
 *
 * <ul>
 *   <li>For a writer, the snapshot of its last commit and all later ones: when it is restored, it
 *       searches from the newest snapshot back to its last commit.
 *   <li>For a streaming reader, the snapshot at its position and all later ones, and those that
 *       contain files that it has discovered but not read yet.
 *   <li>The snapshots of branches and tags that have not reached their maximum age.
 * </ul>
 */
public class Protection {
    private static final Logger LOG = LoggerFactory.getLogger(Protection.class);
    private static final String JOB = "flink.job-id";
    private static final String OPERATOR = "flink.operator-id";
    private static final String CHECKPOINT = "flink.max-committed-checkpoint-id";

    private final Table table;
    private final References references;
    private final TableIdentifier identifier;
    private final Pattern name;
    private final LongPredicate elsewhere;
    private final Map<Long, Set<String>> protectors = new HashMap<>();
    private final Set<String> reasons = new LinkedHashSet<>();
    private final Set<String> runningJobs = new LinkedHashSet<>();
    private final Set<String> restorableJobs = new LinkedHashSet<>();
    private final List<String> unknown = new ArrayList<>();

    private Protection(Table table, TableIdentifier identifier, LongPredicate elsewhere) {
        this.table = table;
        references = References.of(table);
        this.identifier = identifier;
        this.elsewhere = elsewhere;
        String database =
                Pattern.quote(identifier.namespace().level(identifier.namespace().length() - 1));
        String object = Pattern.quote(identifier.name());
        // Operator names contain the table's name alone with Flink SQL, the full name with
        // Iceberg's own builder.
        name =
                Pattern.compile(
                        "(?<![\\w.])"
                                + object
                                + "(?!\\w)|(?<!\\w)"
                                + database
                                + "\\."
                                + object
                                + "(?!\\w)");
    }

    /**
     * Examines the table, the saved states and the running jobs.
     *
     * @param stateDir folder of all jobs' checkpoints and savepoints
     * @param elsewhere whether a table with the same name, in another database, has a snapshot
     */
    public static Protection of(
            Table table,
            TableIdentifier identifier,
            Optional<String> stateDir,
            Configuration session,
            LongPredicate elsewhere) {
        Protection protection = new Protection(table, identifier, elsewhere);
        protection.references();
        List<SavedState> states = protection.states(stateDir);
        protection.writers(states);
        protection.jobs(states, session);
        return protection;
    }

    /** Whether there is a saved state of the job with this ID; true if that is unknown. */
    public static Predicate<String> restorable(Optional<String> stateDir) {
        if (stateDir.isEmpty()) {
            return job -> true;
        }
        try {
            SavedStates states = new SavedStates(stateDir.get());
            boolean unknown = !states.unknown().isEmpty();
            return job -> unknown || states.all().stream().anyMatch(state -> state.isOf(job));
        } catch (IOException error) {
            LOG.warn("The saved states in {} cannot be listed", stateDir.get(), error);
            return job -> true;
        }
    }

    /** For each snapshot, newest first, everything that needs it. */
    public Map<Snapshot, Set<String>> protectors() {
        Map<Snapshot, Set<String>> sorted = new LinkedHashMap<>();
        List<Snapshot> snapshots = new ArrayList<>();
        table.snapshots().forEach(snapshots::add);
        snapshots.sort((a, b) -> Long.compare(b.sequenceNumber(), a.sequenceNumber()));
        for (Snapshot snapshot : snapshots) {
            if (protectors.containsKey(snapshot.snapshotId())) {
                sorted.put(snapshot, protectors.get(snapshot.snapshotId()));
            }
        }
        return sorted;
    }

    /** Everything that needs a snapshot. */
    public Set<String> needing(long snapshotId) {
        return protectors.getOrDefault(snapshotId, Set.of());
    }

    public boolean isProtected(long snapshotId) {
        return protectors.containsKey(snapshotId);
    }

    /** Everything for which snapshots are kept, and why. */
    public Set<String> reasons() {
        return reasons;
    }

    /** The running jobs that use the table. */
    public Set<String> runningJobs() {
        return runningJobs;
    }

    /** The table's readers and writers that can be restored from a saved state. */
    public Set<String> restorableJobs() {
        return restorableJobs;
    }

    /** Reasons why it is unknown what the readers need; empty if it is known. */
    public List<String> unknown() {
        return unknown;
    }

    private void references() {
        references
                .kept()
                .forEach(
                        (name, ref) -> {
                            String who = References.described(name, ref);
                            reasons.add(who);
                            protect(ref.snapshotId(), who);
                        });
    }

    private List<SavedState> states(Optional<String> stateDir) {
        if (stateDir.isEmpty()) {
            unknown.add(
                    "the folder of the Flink jobs' checkpoints and savepoints is not configured;"
                            + " add the option 'maintenance.state-dir' to the catalog");
            return List.of();
        }
        SavedStates states;
        try {
            states = new SavedStates(stateDir.get());
        } catch (IOException error) {
            unknown.add(
                    "the saved states in "
                            + stateDir.get()
                            + " cannot be listed ("
                            + error.getMessage()
                            + "); fix the catalog's option 'maintenance.state-dir'");
            return List.of();
        }
        for (Path path : states.unknown()) {
            unknown.add(
                    "it is unknown which job the state "
                            + path
                            + " belongs to: its name is neither <job id>/chk-<n> nor"
                            + " savepoint-<digits of the job id>-<random>; restore the name that"
                            + " Flink gave it, or move it out of "
                            + stateDir.get());
        }
        for (SavedState state : states.newest()) {
            try {
                for (ReaderState reader : state.readers()) {
                    reader(state, reader);
                }
            } catch (IOException | RuntimeException error) {
                unknown.add(
                        "the newest state of job "
                                + state.jobName()
                                + ", "
                                + state.path()
                                + ", cannot be read ("
                                + error.getMessage()
                                + "); wait for its next checkpoint, or remove the state if it is"
                                + " corrupt");
            }
        }
        return states.all();
    }

    private void reader(SavedState state, ReaderState reader) {
        String who =
                (reader.operator().isEmpty() ? "a source" : "reader '" + reader.operator() + "'")
                        + " of job "
                        + state.jobName()
                        + ", as of "
                        + state.path();
        Long position = reader.snapshotId();
        boolean ours = reader.operator().isEmpty() || name.matcher(reader.operator()).find();
        if (!reader.readable()) {
            // Another kind of source, such as Kafka, unless it is named after this table.
            if (ours) {
                unknown.add(
                        who
                                + " has state in an unknown format; if it reads something else,"
                                + " rename it");
            }
        } else if (position == null) {
            if (ours) {
                reasons.add(who + ": it has read nothing yet");
                table.snapshots()
                        .forEach(
                                snapshot ->
                                        protect(
                                                snapshot.snapshotId(),
                                                who + ": it has read nothing yet"));
            }
        } else if (table.snapshot(position) != null) {
            restorableJobs.add(who);
            Set<Long> needed = new LinkedHashSet<>(Set.of(position));
            needed.addAll(holdersOf(reader.files(), position));
            for (long snapshot : needed) {
                String why =
                        snapshot == position
                                ? ": its position"
                                : ": contains files that it has yet to read";
                fromUpward(snapshot, who + why, who);
            }
        } else if (ours && !elsewhere.test(position)) {
            unknown.add(
                    who
                            + " is at snapshot "
                            + position
                            + ", which is no longer in the history of table "
                            + identifier
                            + "; have the job take another checkpoint, or remove the state if it"
                            + " will not be restored");
        }
    }

    /**
     * For files that were replaced before the reader's position: the newest snapshots that contain
     * them.
     */
    private Set<Long> holdersOf(Set<String> files, long position) {
        Set<Long> holders = new HashSet<>();
        Set<String> open = new HashSet<>(files);
        for (Snapshot snapshot : SnapshotUtil.ancestorsOf(position, table::snapshot)) {
            if (open.isEmpty()) {
                break;
            }
            if (!DataOperations.APPEND.equals(snapshot.operation())
                    && snapshot.parentId() != null) {
                for (DataFile file : snapshot.removedDataFiles(table.io())) {
                    if (open.remove(file.location())) {
                        holders.add(snapshot.parentId());
                    }
                }
            }
        }
        return holders;
    }

    private void writers(List<SavedState> states) {
        for (SnapshotRef ref : references.kept().values()) {
            if (ref.isBranch()) {
                writersOf(ref.snapshotId(), states);
            }
        }
    }

    private void writersOf(long head, List<SavedState> states) {
        Set<String> operators = new HashSet<>();
        Set<String> runs = new HashSet<>();
        for (Snapshot snapshot : SnapshotUtil.ancestorsOf(head, table::snapshot)) {
            String job = snapshot.summary().get(JOB);
            String operator = snapshot.summary().get(OPERATOR);
            if (job == null || operator == null || snapshot.summary().get(CHECKPOINT) == null) {
                continue;
            }
            boolean newest = operators.add(operator);
            String who = "writer " + operator + " of Flink job " + job;
            boolean restorable =
                    runs.add(job + operator) && states.stream().anyMatch(state -> state.isOf(job));
            if (restorable) {
                restorableJobs.add(who);
            }
            if (newest || restorable) {
                fromUpward(
                        snapshot.snapshotId(),
                        who + ": its last commit, checkpoint " + snapshot.summary().get(CHECKPOINT),
                        who);
            }
        }
    }

    /** A job's position is unknown until it has saved it. */
    private void jobs(List<SavedState> states, Configuration session) {
        try {
            Optional<RunningJobs> running = RunningJobs.of(session);
            if (running.isEmpty()) {
                return;
            }
            for (RunningJobs.Job job : running.get().list()) {
                if (job.name().equals(Rewrite.JOB + identifier)
                        || job.name().equals(DeletesRewrite.JOB + identifier)) {
                    unknown.add(
                            "Flink job "
                                    + job.id()
                                    + " rewrites table "
                                    + identifier
                                    + " and needs the snapshot that it started from; wait until it"
                                    + " ends");
                }
                boolean ours =
                        job.operators().stream()
                                .anyMatch(operator -> name.matcher(operator).find());
                if (ours) {
                    runningJobs.add("Flink job " + job.name() + " (" + job.id() + ") runs");
                }
                if (job.streaming()
                        && ours
                        && states.stream().noneMatch(state -> state.isOf(job.id()))) {
                    unknown.add(
                            "Flink job "
                                    + job.name()
                                    + " ("
                                    + job.id()
                                    + ") uses table "
                                    + identifier
                                    + " and has no completed checkpoint yet; wait for its first"
                                    + " one");
                }
            }
        } catch (IOException | RuntimeException error) {
            unknown.add("it is unknown which jobs run: " + error.getMessage());
        }
    }

    /** Protects a snapshot and all its descendants on every branch that contains it. */
    private void fromUpward(long snapshotId, String why, String who) {
        reasons.add(why);
        protect(snapshotId, why);
        for (SnapshotRef ref : table.refs().values()) {
            if (ref.isBranch() && SnapshotUtil.isAncestorOf(table, ref.snapshotId(), snapshotId)) {
                for (Snapshot snapshot :
                        SnapshotUtil.ancestorsOf(ref.snapshotId(), table::snapshot)) {
                    if (snapshot.snapshotId() == snapshotId) {
                        break;
                    }
                    protect(snapshot.snapshotId(), who);
                }
            }
        }
    }

    private void protect(long snapshotId, String who) {
        protectors.computeIfAbsent(snapshotId, id -> new LinkedHashSet<>()).add(who);
    }
}
