package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.List;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteFileGroup;

/**
 * Files that are rewritten by one task and replaced in one commit.
 *
 * @param partition partition of all rows; null if the files have an earlier partition spec, so that
 *     each row determines its own
 */
record FileGroup(int index, List<FileScanTask> tasks, StructLike partition, long maxFileSize)
        implements GroupTask {
    static FileGroup of(int index, Table table, RewriteFileGroup group) {
        return new FileGroup(
                index,
                new ArrayList<>(group.fileScanTasks()),
                partition(table, group),
                group.maxOutputFileSize());
    }

    private static StructLike partition(Table table, RewriteFileGroup group) {
        if (table.spec().isUnpartitioned()) {
            return new PartitionKey(table.spec(), table.schema());
        }
        boolean currentSpec =
                group.fileScanTasks().stream()
                        .allMatch(task -> task.file().specId() == table.spec().specId());
        return currentSpec ? group.fileScanTasks().get(0).file().partition() : null;
    }

    /** Whether the rows may belong to several partitions, in any order. */
    boolean scattered() {
        return partition == null;
    }
}
