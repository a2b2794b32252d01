package lakehouse.orphan;

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
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.io.PositionOutputStream;
import org.apache.iceberg.io.SeekableInputStream;
import org.apache.iceberg.io.SupportsPrefixOperations;
import org.apache.iceberg.util.Tasks;
import org.apache.iceberg.util.ThreadPools;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Takes away files in a table's folder that nothing of the table reaches. They are moved, not
 * deleted.
 */
public class Orphans {
    private static final Logger LOG = LoggerFactory.getLogger(Orphans.class);
    private static final String QUARANTINE = "_quarantine";
    private static final DateTimeFormatter NOW =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);

    /**
     * @param quarantine the folder that they were moved to; null when there is none
     */
    public record Result(List<FileInfo> orphans, long listed, String quarantine) {
        public long bytes() {
            return orphans.stream().mapToLong(FileInfo::size).sum();
        }
    }

    private final Table table;
    private final OrphanRequest request;
    private final FilePath folder;
    private final FilePath warehouse;
    private final SupportsPrefixOperations io;

    /**
     * @param others all other tables of the catalog
     */
    public Orphans(Table table, OrphanRequest request, Supplier<Collection<Table>> others) {
        this.table = table;
        this.request = request;
        if (!(table.io() instanceof SupportsPrefixOperations listing)) {
            throw new ValidationException(
                    "The files of table "
                            + table.name()
                            + " cannot be listed by "
                            + table.io().getClass().getName()
                            + "; set the catalog's option 'io-impl' to one that can");
        }
        io = listing;
        folder = FilePath.of(location());
        warehouse = FilePath.of(request.warehouse());
        if (!folder.sameStore(warehouse)) {
            throw new ValidationException(
                    "Files of "
                            + location()
                            + " cannot be moved to the quarantine in "
                            + request.warehouse()
                            + ", which is another store");
        }
        if (roots(table).noneMatch(root -> folder.isIn(FilePath.of(root)))) {
            throw new ValidationException(
                    "location => '"
                            + location()
                            + "' is not a folder of table "
                            + table.name()
                            + ". Next: name one at or below "
                            + String.join(", ", roots(table).toList()));
        }
        for (Table other : others.get()) {
            refuseNested(other);
        }
    }

    /** The folders that a table writes to. */
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
            FilePath theirs = FilePath.of(place);
            boolean inside = theirs.isIn(folder);
            if (inside || folder.isIn(theirs)) {
                throw new ValidationException(
                        "Table "
                                + other.name()
                                + " keeps files at "
                                + place
                                + (inside ? ", inside of " : ", which holds ")
                                + location()
                                + ": they would seem to be nobody's. Next: name a folder that is"
                                + " the table's alone with location");
            }
        }
    }

    public Result run() {
        // The listing comes first: what is written after it cannot be in it.
        Map<FilePath, FileInfo> candidates = new ConcurrentHashMap<>();
        long listed = 0;
        for (FileInfo file : Listing.of(io, location())) {
            FilePath path = FilePath.of(file.location());
            if (path.isIn(
                    new FilePath(
                            warehouse.scheme(),
                            warehouse.authority(),
                            warehouse.path() + "/" + QUARANTINE))) {
                continue;
            }
            listed++;
            if (file.createdAtMillis() < request.olderThan().toEpochMilli()) {
                candidates.put(path, file);
            }
        }
        table.refresh();
        reach(candidates);
        keepHidden(candidates);
        List<FileInfo> orphans =
                candidates.values().stream()
                        .sorted(Comparator.comparing(FileInfo::location))
                        .toList();
        if (request.dryRun() || orphans.isEmpty()) {
            return new Result(orphans, listed, null);
        }
        if (orphans.size() > request.maxShare() * listed) {
            throw new ValidationException(
                    orphans.size()
                            + " of "
                            + listed
                            + " files below "
                            + location()
                            + " would go, more than a share of "
                            + request.maxShare()
                            + ", the first "
                            + orphans.get(0).location()
                            + ". Look at them with dry_run => true; if they are nobody's, allow"
                            + " more with max_orphan_share");
        }
        String quarantine = move(orphans);
        return new Result(withoutCommitted(orphans, quarantine), listed, quarantine);
    }

    /** Brings back what a commit has made part of the table meanwhile. */
    private List<FileInfo> withoutCommitted(List<FileInfo> moved, String quarantine) {
        Map<FilePath, FileInfo> nobodys = new ConcurrentHashMap<>();
        moved.forEach(file -> nobodys.put(FilePath.of(file.location()), file));
        table.refresh();
        reach(nobodys);
        List<FileInfo> gone = new ArrayList<>();
        for (FileInfo file : moved) {
            FilePath path = FilePath.of(file.location());
            if (nobodys.containsKey(path)) {
                gone.add(file);
            } else {
                LOG.warn("{} was committed meanwhile: it is back", file.location());
                move(path.below(quarantine), file.size(), file.location());
            }
        }
        return gone;
    }

    /** Strikes out all that the table reaches. */
    private void reach(Map<FilePath, FileInfo> candidates) {
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
        reached.forEach(location -> candidates.remove(FilePath.of(location)));
        Manifests.livePaths(table, manifests, location -> candidates.remove(FilePath.of(location)));
    }

    /** Hidden files are somebody's own affair, but for Hadoop's checksum of a file that goes. */
    private static void keepHidden(Map<FilePath, FileInfo> candidates) {
        for (FilePath path : List.copyOf(candidates.keySet())) {
            String name = path.name();
            if (name.startsWith(".") || name.startsWith("_")) {
                String parent = path.path().substring(0, path.path().length() - name.length());
                String checked = name.replaceFirst("^\\.(.*)\\.crc$", "$1");
                if (checked.equals(name)
                        || !candidates.containsKey(
                                new FilePath(path.scheme(), path.authority(), parent + checked))) {
                    candidates.remove(path);
                }
            }
        }
    }

    private String move(List<FileInfo> orphans) {
        String quarantine =
                request.warehouse().replaceFirst("/+$", "")
                        + "/"
                        + QUARANTINE
                        + "/"
                        + NOW.format(Instant.now());
        AtomicInteger moved = new AtomicInteger();
        try {
            Tasks.foreach(orphans)
                    .stopOnFailure()
                    .throwFailureWhenFinished()
                    .executeWith(ThreadPools.getWorkerPool())
                    .run(
                            orphan -> {
                                String target = FilePath.of(orphan.location()).below(quarantine);
                                move(orphan.location(), orphan.size(), target);
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

    /** The original goes last, when all of its copy is there. */
    private void move(String source, long bytes, String target) {
        FileIO store = table.io();
        try (SeekableInputStream from = store.newInputFile(source).newStream();
                PositionOutputStream to = store.newOutputFile(target).create()) {
            from.transferTo(to);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        long copied = store.newInputFile(target).getLength();
        if (copied != bytes) {
            throw new IllegalStateException(
                    target + " has " + copied + " bytes, " + source + " " + bytes);
        }
        store.deleteFile(source);
    }
}
