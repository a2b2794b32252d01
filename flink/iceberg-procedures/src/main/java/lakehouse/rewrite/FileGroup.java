package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.List;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.actions.RewriteFileGroup;

/**
 * The files that one task writes again and one commit replaces.
 *
 * @param partition of all rows; null when the files come from an earlier partition spec, so that
 *     each row says its own
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

    /** Whether the rows belong to several partitions, and come in any order. */
    boolean scattered() {
        return partition == null;
    }
}
