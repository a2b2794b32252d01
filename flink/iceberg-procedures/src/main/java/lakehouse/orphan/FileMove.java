package lakehouse.orphan;

import java.io.IOException;
import java.io.UncheckedIOException;
import lakehouse.io.LocalFileIO;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.PositionOutputStream;
import org.apache.iceberg.io.SeekableInputStream;

/**
 * Moves files within a store. Hadoop's file systems rename them and S3 copies them on the server,
 * so that no data passes through this process; other stores require a download and an upload.
 */
final class FileMove {
    private static final String S3 = "org.apache.iceberg.aws.s3.S3FileIO";

    private FileMove() {}

    /** Deletes the original last, when the copy is complete. */
    static void move(FileIO store, String source, long bytes, String target) {
        try {
            if (store.getClass() == HadoopFileIO.class || store.getClass() == LocalFileIO.class) {
                rename((HadoopFileIO) store, source, target);
                return;
            }
            // Compared by name, because the AWS classes may be absent if no such store is used.
            if (!(store.getClass().getName().equals(S3)
                    && S3Copy.copied(store, source, bytes, target))) {
                copy(store, source, target);
            }
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

    private static void rename(HadoopFileIO store, String source, String target)
            throws IOException {
        Path from = new Path(source);
        Path to = new Path(target);
        FileSystem files = from.getFileSystem(store.getConf());
        files.mkdirs(to.getParent());
        if (files.exists(to) || !files.rename(from, to)) {
            throw new IOException(source + " cannot be renamed to " + target);
        }
    }

    private static void copy(FileIO store, String source, String target) throws IOException {
        try (SeekableInputStream from = store.newInputFile(source).newStream();
                PositionOutputStream to = store.newOutputFile(target).create()) {
            from.transferTo(to);
        }
    }
}
