package lakehouse.rewrite;

import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteFileGroup;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * The files that one task writes anew and one commit replaces.
 *
 * @param partition of all rows; null when the files come from an earlier partition spec, so that
 *     each row says its own
 */
record FileGroup(int index, List<FileScanTask> tasks, StructLike partition, long maxFileSize)
        implements Serializable {
    static FileGroup of(int index, Table table, RewriteFileGroup group) {
        boolean currentSpec =
                group.fileScanTasks().stream()
                        .allMatch(task -> task.file().specId() == table.spec().specId());
        return new FileGroup(
                index,
                new ArrayList<>(group.fileScanTasks()),
                currentSpec ? group.fileScanTasks().get(0).file().partition() : null,
                group.maxOutputFileSize());
    }
}
