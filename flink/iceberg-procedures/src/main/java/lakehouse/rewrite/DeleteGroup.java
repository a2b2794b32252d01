package lakehouse.rewrite;

import org.apache.iceberg.DeleteFile;

import java.util.List;
import java.util.Map;

/**
 * Position delete files of one partition.
 *
 * @param dataFiles that they apply to, each with its sequence number: all other deletes dangle
 */
record DeleteGroup(
        int index, List<DeleteFile> files, Map<String, Long> dataFiles, long maxFileSize)
        implements GroupTask {}
