package lakehouse.orphan;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URLEncoder;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.Table;

/**
 * Files below a table's folder that do not belong to Iceberg: their name, or that of a folder
 * between, begins with "_" or ".". A partition's folder is not hidden, even if its column's name
 * begins like that.
 */
final class HiddenFiles {
    private final String folder;
    private final Set<String> partitions;

    HiddenFiles(Table table, String folder) {
        this.folder = folder;
        partitions =
                table.specs().values().stream()
                        .flatMap(spec -> spec.fields().stream())
                        .map(PartitionField::name)
                        .map(name -> URLEncoder.encode(name, UTF_8) + "=")
                        .collect(Collectors.toSet());
    }

    /** Hadoop's checksum file is only hidden if its file stays. */
    boolean contains(String path, Set<String> going) {
        int end = path.lastIndexOf('/');
        String name = path.substring(end + 1);
        String checked = name.replaceFirst("^\\.(.*)\\.crc$", "$1");
        if (!checked.equals(name)) {
            String file = path.substring(0, end + 1) + checked;
            return !going.contains(file) || contains(file, going);
        }
        return Arrays.stream(path.substring(folder.length()).split("/")).anyMatch(this::isHidden);
    }

    private boolean isHidden(String name) {
        return (name.startsWith("_") || name.startsWith("."))
                && partitions.stream().noneMatch(name::startsWith);
    }
}
