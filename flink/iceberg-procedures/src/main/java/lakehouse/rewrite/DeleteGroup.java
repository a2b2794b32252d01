package lakehouse.rewrite;

import java.util.List;
import java.util.Map;
import org.apache.iceberg.DeleteFile;

/**
 * Position delete files of one partition.
 *
 * @param dataFiles data files that they apply to, with their sequence numbers; all other deletes
 *     are dangling
 */
record DeleteGroup(int index, List<DeleteFile> files, Map<String, Long> dataFiles, long maxFileSize)
        implements GroupTask {}
