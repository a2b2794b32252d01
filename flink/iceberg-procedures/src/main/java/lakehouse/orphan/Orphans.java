package lakehouse.orphan;

import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Stream;
import lakehouse.table.FilePath;
import lakehouse.table.Listing;
import lakehouse.table.Manifests;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.HasTableOperations;
import org.apache.iceberg.PartitionStatisticsFile;
import org.apache.iceberg.ReachableFileUtil;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StatisticsFile;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.io.SupportsPrefixOperations;
import org.apache.iceberg.util.Tasks;
import org.apache.iceberg.util.ThreadPools;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Moves the files in a table's folder that its metadata does not reference to quarantine. Nothing
 * is deleted.
 */
public class Orphans {
    private static final Logger LOG = LoggerFactory.getLogger(Orphans.class);
    private static final DateTimeFormatter NOW =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);

    /**
     * @param quarantine folder that they were moved to; null if there are none
     */
    public record Result(List<FileInfo> orphans, long listed, String quarantine) {
        public long bytes() {
            return orphans.stream().mapToLong(FileInfo::size).sum();
        }
    }

    /**
     * The share is only checked for more files than this: of three files, one orphan is a third.
     */
    private static final int SHARE_FROM_FILES = 20;

    private final Table table;
    private final OrphanRequest request;
    private final Predicate<String> restorable;
    private final Prefixes prefixes;
    private final FilePath folder;
    private final FilePath quarantine;
    private final SupportsPrefixOperations io;

    /**
     * @param others all other tables of the catalog, loaded lazily
     * @param restorable whether a job with this ID can be restored
     */
    public Orphans(
            Table table,
            OrphanRequest request,
            Supplier<Stream<Table>> others,
            Predicate<String> restorable) {
        this.table = table;
        this.request = request;
        this.restorable = restorable;
        io = Listing.io(table);
        prefixes = request.prefixes();
        folder = prefixes.of(location());
        quarantine = prefixes.of(request.quarantine());
        if (!folder.sameStore(quarantine)) {
            throw new ValidationException(
                    "Files of "
                            + location()
                            + " cannot be moved to the quarantine "
                            + request.quarantine()
                            + ", which is in another store");
        }
        if (folder.hasDotParts()
                || roots(table).noneMatch(root -> folder.isIn(prefixes.of(root)))) {
            throw new ValidationException(
                    "location => '"
                            + location()
                            + "' is not a folder of table "
                            + table.name()
                            + ". Next: name one at or below "
                            + String.join(", ", roots(table).toList()));
        }
        others.get().forEach(this::refuseNested);
    }

    /** Folders that a table writes to. */
    private static Stream<String> roots(Table table) {
        return Stream.of(
                        table.location(),
                        table.properties().get(TableProperties.WRITE_DATA_LOCATION),
                        table.properties().get(TableProperties.WRITE_METADATA_LOCATION))
                .filter(root -> root != null);
    }

    private String location() {
        return (request.location() == null ? table.location() : request.location())
                .replaceFirst("/+$", "");
    }

    private void refuseNested(Table other) {
        for (String place : roots(other).toList()) {
            FilePath theirs = prefixes.of(place);
            boolean inside = theirs.isIn(folder);
            if (inside || folder.isIn(theirs)) {
                throw new ValidationException(
                        "Table "
                                + other.name()
                                + " keeps files at "
                                + place
                                + (inside ? ", inside " : ", which contains ")
                                + location()
                                + ": they would look like orphans. Next: set location to a folder"
                                + " that only this table uses");
            }
        }
    }

    public Result run() {
        // List first: files written later cannot be in the listing.
        Map<String, FileInfo> candidates = new ConcurrentHashMap<>();
        long listed = 0;
        for (FileInfo file : Listing.of(io, location())) {
            FilePath path = prefixes.of(file.location());
            if (path.isIn(quarantine)) {
                continue;
            }
            listed++;
            if (file.createdAtMillis() < request.olderThan().toEpochMilli()) {
                candidates.put(path.path(), file);
            }
        }
        // Read before the table: a staged file is either listed here, or was committed and is
        // referenced by the table.
        List<String> staged = StagedFiles.of(table, io, restorable);
        table.refresh();
        staged.forEach(location -> candidates.remove(FilePath.of(location).path()));
        settle(candidates, reach(candidates));
        HiddenFiles hidden = new HiddenFiles(table, folder.path());
        Set<String> going = Set.copyOf(candidates.keySet());
        candidates.keySet().removeIf(path -> hidden.contains(path, going));
        List<FileInfo> orphans =
                candidates.values().stream()
                        .sorted(Comparator.comparing(FileInfo::location))
                        .toList();
        if (request.dryRun() || orphans.isEmpty()) {
            return new Result(orphans, listed, null);
        }
        if (listed >= SHARE_FROM_FILES && orphans.size() > request.maxShare() * listed) {
            throw new ValidationException(
                    orphans.size()
                            + " of "
                            + listed
                            + " files below "
                            + location()
                            + " would be removed, more than a share of "
                            + request.maxShare()
                            + ", the first "
                            + orphans.get(0).location()
                            + ". Next: look at them with dry_run => true; if they are orphans,"
                            + " raise max_orphan_share");
        }
        String quarantine = move(orphans);
        return new Result(withoutCommitted(orphans, quarantine), listed, quarantine);
    }

    /** Restores files that were committed to the table in the meantime. */
    private List<FileInfo> withoutCommitted(List<FileInfo> moved, String quarantine) {
        Map<String, FileInfo> nobodys = new ConcurrentHashMap<>();
        moved.forEach(file -> nobodys.put(prefixes.of(file.location()).path(), file));
        table.refresh();
        nobodys.keySet().removeAll(reach(nobodys).keySet());
        List<FileInfo> gone = new ArrayList<>();
        for (FileInfo file : moved) {
            if (nobodys.containsKey(prefixes.of(file.location()).path())) {
                gone.add(file);
            } else {
                LOG.warn("{} was committed in the meantime and has been restored", file.location());
                FileMove.move(
                        table.io(),
                        FilePath.of(file.location()).below(quarantine),
                        file.size(),
                        file.location());
            }
        }
        return gone;
    }

    /**
     * Removes the files that the table references from the candidates.
     *
     * @param candidates by path; all have the folder's scheme and authority
     * @return by path, locations in the table with another scheme or authority, unless these are to
     *     be ignored
     */
    private Map<String, String> reach(Map<String, FileInfo> candidates) {
        Map<String, String> mismatches = new ConcurrentHashMap<>();
        forEachKnown(
                location -> {
                    String path = FilePath.of(location).path();
                    if (prefixes.match(location, folder)) {
                        candidates.remove(path);
                    } else if (candidates.containsKey(path)) {
                        mismatches.put(path, location);
                    }
                });
        mismatches.keySet().retainAll(candidates.keySet());
        return prefixes.mismatch() == Prefixes.Mismatch.DELETE ? Map.of() : mismatches;
    }

    private void settle(Map<String, FileInfo> candidates, Map<String, String> mismatches) {
        if (prefixes.mismatch() == Prefixes.Mismatch.ERROR && !mismatches.isEmpty()) {
            Map.Entry<String, String> first = mismatches.entrySet().iterator().next();
            throw new ValidationException(
                    "Whether "
                            + mismatches.size()
                            + " files of table "
                            + table.name()
                            + " are orphans is unknown: the table references "
                            + first.getValue()
                            + ", but the listing contains "
                            + candidates.get(first.getKey()).location()
                            + ". Next: declare which are equal with equal_schemes => 'abfss=abfs'"
                            + " or equal_authorities; if none are, keep such files with"
                            + " prefix_mismatch_mode => 'ignore', or remove them with 'delete'");
        }
        candidates.keySet().removeAll(mismatches.keySet());
    }

    /** Passes on the location of each file that the table references, from several threads. */
    private void forEachKnown(Consumer<String> known) {
        List<String> reached = new ArrayList<>();
        TableMetadata metadata = ((HasTableOperations) table).operations().current();
        reached.add(metadata.metadataFileLocation());
        metadata.previousFiles().forEach(entry -> reached.add(entry.file()));
        reached.add(ReachableFileUtil.versionHintLocation(table));
        metadata.statisticsFiles().stream().map(StatisticsFile::path).forEach(reached::add);
        metadata.partitionStatisticsFiles().stream()
                .map(PartitionStatisticsFile::path)
                .forEach(reached::add);
        List<Snapshot> snapshots = metadata.snapshots();
        snapshots.stream()
                .map(Snapshot::manifestListLocation)
                .filter(list -> list != null)
                .forEach(reached::add);
        var manifests = Manifests.of(table, snapshots);
        manifests.forEach(manifest -> reached.add(manifest.path()));
        reached.forEach(known);
        Manifests.livePaths(table, manifests, known);
    }

    private String move(List<FileInfo> orphans) {
        String quarantine =
                request.quarantine().replaceFirst("/+$", "") + "/" + NOW.format(Instant.now());
        AtomicInteger moved = new AtomicInteger();
        try {
            Tasks.foreach(orphans)
                    .stopOnFailure()
                    .throwFailureWhenFinished()
                    .executeWith(ThreadPools.getWorkerPool())
                    .run(
                            orphan -> {
                                String target = FilePath.of(orphan.location()).below(quarantine);
                                FileMove.move(table.io(), orphan.location(), orphan.size(), target);
                                moved.incrementAndGet();
                            });
        } catch (RuntimeException error) {
            throw new IllegalStateException(
                    "Moving files of table "
                            + table.name()
                            + " to "
                            + quarantine
                            + " stopped after "
                            + moved
                            + " of "
                            + orphans.size()
                            + ": "
                            + error.getMessage()
                            + ". Call again for the rest",
                    error);
        }
        return quarantine;
    }
}
