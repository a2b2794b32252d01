package lakehouse.orphan;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import lakehouse.table.FilePath;
import lakehouse.table.Listing;
import org.apache.iceberg.HasTableOperations;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.avro.Avro;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.data.avro.PlannedDataReader;
import org.apache.iceberg.exceptions.NotFoundException;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.io.SupportsPrefixOperations;
import org.apache.iceberg.types.Types;

/**
 * Files that Flink sinks have written but not committed. With each checkpoint, a sink writes
 * manifests that only the job's state references; a restored job commits them, no matter how long
 * it was stopped.
 */
final class StagedFiles {
    private static final String FOLDER = "flink.manifests.location";

    /** Job, operator, subtask, attempt, checkpoint and a counter. */
    private static final Pattern MANIFEST =
            Pattern.compile("(?<job>[0-9a-f]{32})-.+-\\d{5}-\\d+-\\d+-\\d{5}.*\\.avro");

    private static final Schema PATHS =
            new Schema(
                    Types.NestedField.required(
                            2,
                            "data_file",
                            Types.StructType.of(
                                    Types.NestedField.required(
                                            100, "file_path", Types.StringType.get()))));

    private StagedFiles() {}

    /**
     * @param restorable whether a job with this ID can be restored
     */
    static List<String> of(Table table, SupportsPrefixOperations io, Predicate<String> restorable) {
        List<String> staged = new ArrayList<>();
        for (FileInfo file : Listing.of(io, folder(table))) {
            Matcher manifest = MANIFEST.matcher(FilePath.of(file.location()).name());
            if (manifest.matches() && restorable.test(manifest.group("job"))) {
                addWithFiles(staged, table, file.location());
            }
        }
        return staged;
    }

    private static String folder(Table table) {
        String folder = table.properties().get(FOLDER);
        // With a placeholder, because HadoopTableOperations reject an empty name.
        return folder != null
                ? folder
                : ((HasTableOperations) table)
                        .operations()
                        .metadataFileLocation("m")
                        .replaceFirst("/+m$", "");
    }

    private static void addWithFiles(List<String> staged, Table table, String manifest) {
        try (CloseableIterable<Record> entries =
                Avro.read(table.io().newInputFile(manifest))
                        .project(PATHS)
                        .createResolvingReader(PlannedDataReader::create)
                        .build()) {
            for (Record entry : entries) {
                Record file = (Record) entry.getField("data_file");
                staged.add((String) file.getField("file_path"));
            }
        } catch (NotFoundException committed) {
            return;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (RuntimeException error) {
            throw new IllegalStateException(
                    "The files that a restored job will commit to table "
                            + table.name()
                            + " are unknown: the manifest "
                            + manifest
                            + " cannot be read ("
                            + error.getMessage()
                            + "). Next: call again; if the manifest is corrupt, remove it, or the"
                            + " saved states of its job",
                    error);
        }
        staged.add(manifest);
    }
}
