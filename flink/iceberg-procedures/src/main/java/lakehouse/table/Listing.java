package lakehouse.table;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.Table;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.io.SupportsPrefixOperations;

/** The files in a folder, at any depth. */
public final class Listing {
    private Listing() {}

    /**
     * The FileIO that can list a table's files.
     *
     * @throws ValidationException if the table's FileIO cannot
     */
    public static SupportsPrefixOperations io(Table table) {
        if (table.io() instanceof SupportsPrefixOperations io) {
            return io;
        }
        throw new ValidationException(
                "The files of table "
                        + table.name()
                        + " cannot be listed with "
                        + table.io().getClass().getName()
                        + "; set the catalog's option 'io-impl' to a FileIO that can");
    }

    /**
     * Local files are listed without Hadoop, which would start a process for each file to read its
     * permissions, and would fail if a file disappeared in the meantime.
     *
     * @throws UncheckedIOException if the folder or a part of it cannot be read
     */
    public static Iterable<FileInfo> of(SupportsPrefixOperations io, String folder) {
        FilePath path = FilePath.of(folder);
        return path.scheme().equals("file")
                ? local(Path.of(path.path()))
                : io.listPrefix(folder.replaceFirst("/*$", "/"));
    }

    private static List<FileInfo> local(Path folder) {
        Walk walk = new Walk(folder);
        try {
            Files.walkFileTree(
                    folder, EnumSet.of(FileVisitOption.FOLLOW_LINKS), Integer.MAX_VALUE, walk);
        } catch (IOException error) {
            throw new UncheckedIOException("Files in " + folder + " cannot be listed", error);
        }
        return walk.files;
    }

    /** Skips files that disappear during the walk. */
    private static final class Walk extends SimpleFileVisitor<Path> {
        private final Path folder;
        private final List<FileInfo> files = new ArrayList<>();

        private Walk(Path folder) {
            this.folder = folder;
        }

        @Override
        public FileVisitResult visitFile(Path file, BasicFileAttributes found) {
            if (found.isRegularFile() && !isChecksum(file)) {
                files.add(
                        new FileInfo(
                                "file:" + file, found.size(), found.lastModifiedTime().toMillis()));
            }
            return FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFileFailed(Path file, IOException error) throws IOException {
            if (error instanceof NoSuchFileException && !file.equals(folder)) {
                return FileVisitResult.CONTINUE;
            }
            throw error;
        }

        @Override
        public FileVisitResult postVisitDirectory(Path visited, IOException error)
                throws IOException {
            return error == null ? FileVisitResult.CONTINUE : visitFileFailed(visited, error);
        }

        /** Hadoop's checksum files, which it hides, and deletes with the file. */
        private static boolean isChecksum(Path file) {
            String name = file.getFileName().toString();
            return name.startsWith(".") && name.endsWith(".crc");
        }
    }
}
