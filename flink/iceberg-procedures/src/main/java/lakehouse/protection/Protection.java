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
 * Which snapshots of a table somebody still needs, and who.
 *
 * <ul>
 *   <li>A writer that is restored walks from the newest snapshot down to its last commit: that one
 *       and all above it.
 *   <li>A streaming reader goes on from its position: that one and all above it, and whatever holds
 *       files that it knows already and has not read yet.
 *   <li>Branches and tags that are not past their age.
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
        // Flink SQL names an operator by the table alone, Iceberg's own builder by its full name.
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
     * Looks at the table, at the saved states and at the running jobs.
     *
     * @param stateDir where the states of all jobs lie
     * @param elsewhere whether another table of the same name, in another database, has a snapshot
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

    /**
     * Whether a saved state of the job with that ID is there; where that cannot be told, each has
     * one.
     */
    public static Predicate<String> restorable(Optional<String> stateDir) {
        if (stateDir.isEmpty()) {
            return job -> true;
        }
        try {
            SavedStates states = new SavedStates(stateDir.get());
            boolean unknown = !states.unknown().isEmpty();
            return job -> unknown || states.all().stream().anyMatch(state -> state.isOf(job));
        } catch (IOException error) {
            LOG.warn("The states below {} cannot be listed", stateDir.get(), error);
            return job -> true;
        }
    }

    /** Everybody who needs each snapshot, newest snapshot first. */
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

    /** Everybody who needs a snapshot. */
    public Set<String> needing(long snapshotId) {
        return protectors.getOrDefault(snapshotId, Set.of());
    }

    public boolean isProtected(long snapshotId) {
        return protectors.containsKey(snapshotId);
    }

    /** Everybody for whom something is kept, with what each keeps. */
    public Set<String> reasons() {
        return reasons;
    }

    /** The jobs that run on the table. */
    public Set<String> runningJobs() {
        return runningJobs;
    }

    /** The readers and writers of the table that can be restored from a saved state. */
    public Set<String> restorableJobs() {
        return restorableJobs;
    }

    /** Why it is not known what all readers need; empty when it is. */
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
                    "the catalog does not say where Flink's jobs keep their states; add the option"
                            + " 'maintenance.state-dir'");
            return List.of();
        }
        SavedStates states;
        try {
            states = new SavedStates(stateDir.get());
        } catch (IOException error) {
            unknown.add(
                    "the states below "
                            + stateDir.get()
                            + " cannot be listed ("
                            + error.getMessage()
                            + "); put the catalog's option 'maintenance.state-dir' right");
            return List.of();
        }
        for (Path path : states.unknown()) {
            unknown.add(
                    "whose is the state "
                            + path
                            + " cannot be told, it is neither <job id>/chk-<n> nor"
                            + " savepoint-<digits of the job id>-<random>; name it as Flink did, or"
                            + " move it out of "
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
                                + " broken");
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
            // One of Kafka, say, unless it goes by our name.
            if (ours) {
                unknown.add(
                        who
                                + " has a state that is not understood; if it reads something else,"
                                + " give it another name");
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
                                : ": holds files that it has yet to read";
                fromUpward(snapshot, who + why, who);
            }
        } else if (ours && !elsewhere.test(position)) {
            unknown.add(
                    who
                            + " stands at snapshot "
                            + position
                            + ", which is no longer in the history of table "
                            + identifier
                            + "; let the job take another checkpoint, or remove the state if nobody"
                            + " will restore from it");
        }
    }

    /** The youngest snapshots that hold files which were replaced before the reader's position. */
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

    /** What a job's position is when it has not yet saved it, nobody knows. */
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
                                    + " and needs the snapshot that it began with; wait for its"
                                    + " end");
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
                                    + ") works on table "
                                    + identifier
                                    + " and has no complete checkpoint yet; wait for its first"
                                    + " one");
                }
            }
        } catch (IOException | RuntimeException error) {
            unknown.add("which jobs run cannot be told: " + error.getMessage());
        }
    }

    /** A snapshot and all that follow it on whichever branches it lies. */
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
