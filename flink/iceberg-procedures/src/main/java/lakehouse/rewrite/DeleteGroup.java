package lakehouse.rewrite;

import java.util.List;
import java.util.Map;
import org.apache.iceberg.DeleteFile;

/**
 * Position delete files of one partition.
 *
 * @param dataFiles that they apply to, each with its sequence number: all other deletes dangle
 */
record DeleteGroup(int index, List<DeleteFile> files, Map<String, Long> dataFiles, long maxFileSize)
        implements GroupTask {}
