package lakehouse.imports;

import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import lakehouse.table.FilePath;
import lakehouse.table.Listing;
import lakehouse.table.Manifests;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.AppendFiles;
import org.apache.iceberg.PartitionData;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.Transaction;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.io.SupportsPrefixOperations;
import org.apache.iceberg.mapping.MappingUtil;
import org.apache.iceberg.mapping.NameMapping;
import org.apache.iceberg.mapping.NameMappingParser;
import org.apache.iceberg.util.StructLikeSet;
import org.apache.iceberg.util.Tasks;
import org.apache.iceberg.util.ThreadPools;

/** Adds the Parquet files of a folder to a table in place, in one commit: all of them or none. */
public class Import {
    private final Table table;
    private final ImportRequest request;
    private final FilePath folder;
    private final SupportsPrefixOperations io;
    private final PartitionFolders partitions;

    public Import(Table table, ImportRequest request) {
        this.table = table;
        this.request = request;
        io = Listing.io(table);
        folder = FilePath.of(request.path());
        // A file with two paths would count as two files.
        if (folder.hasDotParts()) {
            throw new ValidationException(
                    "path => '"
                            + request.path()
                            + "' contains . or ..; name the folder by its full path");
        }
        partitions = new PartitionFolders(table, request.partitionFilter());
    }

    public ImportResult run() {
        List<Found> found = list();
        if (request.checkDuplicates()) {
            refuseKnown(found);
        }
        String stored = table.properties().get(TableProperties.DEFAULT_NAME_MAPPING);
        NameMapping names =
                stored == null
                        ? MappingUtil.create(table.schema())
                        : NameMappingParser.fromJson(stored);
        ParquetFiles files = new ParquetFiles(table, names);
        Collection<ParquetFiles.Checked> checked = new ConcurrentLinkedQueue<>();
        Tasks.foreach(found)
                .stopOnFailure()
                .throwFailureWhenFinished()
                .executeWith(ThreadPools.getWorkerPool())
                .run(file -> checked.add(files.check(file.file, file.partition)));
        if (!request.dryRun()) {
            commit(checked, stored == null ? NameMappingParser.toJson(names) : null);
        }
        StructLikeSet changed = StructLikeSet.create(table.spec().partitionType());
        Set<String> ignored = new TreeSet<>();
        for (ParquetFiles.Checked file : checked) {
            changed.add(file.file().partition());
            ignored.addAll(file.ignoredColumns());
        }
        return new ImportResult(checked.size(), changed.size(), List.copyOf(ignored));
    }

    /** A file of the folder, in one of the requested partitions. */
    private record Found(FileInfo file, PartitionData partition) {}

    private List<Found> list() {
        List<Found> found = new ArrayList<>();
        try {
            for (FileInfo file : Listing.of(io, request.path())) {
                if (isFolder(file)) {
                    continue;
                }
                List<String> parts = parts(file.location());
                if (parts.stream().anyMatch(Import::isHidden)) {
                    continue;
                }
                PartitionData partition =
                        partitions.of(file.location(), parts.subList(0, parts.size() - 1));
                if (partitions.wanted(partition)) {
                    found.add(new Found(file, partition));
                }
            }
        } catch (UncheckedIOException error) {
            throw new ValidationException(
                    "path => '" + request.path() + "' cannot be listed: " + error.getCause(),
                    error);
        }
        if (found.isEmpty()) {
            throw new ValidationException(
                    "path => '"
                            + request.path()
                            + "' holds no files"
                            + (request.partitionFilter().isEmpty()
                                    ? ""
                                    : " of partition " + request.partitionFilter())
                            + ", apart from hidden ones");
        }
        return found;
    }

    /** The file's name and the names of the folders between it and {@code path}. */
    private List<String> parts(String location) {
        String path = FilePath.of(location).path();
        String below = path.substring(folder.path().replaceFirst("/+$", "").length());
        List<String> parts =
                Arrays.stream(below.split("/")).filter(part -> !part.isEmpty()).toList();
        if (parts.isEmpty()) {
            throw new ValidationException(
                    "path => '" + request.path() + "' is a file; name its folder");
        }
        return parts;
    }

    /** Some stores have an object for a folder. */
    private static boolean isFolder(FileInfo file) {
        return file.location().endsWith("/");
    }

    /** As in Spark: a partition's folder may begin with "_" if its column does. */
    private static boolean isHidden(String name) {
        return name.startsWith(".") || name.startsWith("_") && !name.contains("=");
    }

    private void refuseKnown(List<Found> found) {
        Snapshot current = table.currentSnapshot();
        if (current == null) {
            return;
        }
        Set<FilePath> paths =
                found.stream()
                        .map(file -> FilePath.of(file.file.location()))
                        .collect(Collectors.toSet());
        Collection<String> known = new ConcurrentLinkedQueue<>();
        Manifests.livePaths(
                table,
                current.dataManifests(table.io()),
                path -> {
                    if (paths.contains(FilePath.of(path))) {
                        known.add(path);
                    }
                });
        if (!known.isEmpty()) {
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " holds "
                            + known.size()
                            + " of the "
                            + found.size()
                            + " files already, such as "
                            + new TreeSet<>(known).first()
                            + ": their rows would be duplicated. Nothing was added. Next: name a"
                            + " folder or partition_filter with new files only; to duplicate the"
                            + " rows on purpose, set check_duplicate_files => false");
        }
    }

    /**
     * @param names name mapping for files without field IDs; null if the table already has one
     */
    private void commit(Collection<ParquetFiles.Checked> files, String names) {
        Transaction change = table.newTransaction();
        if (names != null) {
            change.updateProperties().set(TableProperties.DEFAULT_NAME_MAPPING, names).commit();
        }
        AppendFiles append = change.newAppend();
        files.forEach(file -> append.appendFile(file.file()));
        append.commit();
        change.commitTransaction();
    }
}
