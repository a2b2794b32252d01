package lakehouse;

import java.util.function.Predicate;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.BulkDeletionFailureException;

/** A store that refuses to delete some files, and only reports how many. */
public class LockedFileIO extends HadoopFileIO {
    static volatile Predicate<String> locked = path -> false;

    @Override
    public void deleteFiles(Iterable<String> paths) {
        int failed = 0;
        for (String path : paths) {
            if (locked.test(path)) {
                failed++;
            } else {
                deleteFile(path);
            }
        }
        if (failed > 0) {
            throw new BulkDeletionFailureException(failed);
        }
    }
}
