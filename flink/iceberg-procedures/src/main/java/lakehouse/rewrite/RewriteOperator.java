package lakehouse.rewrite;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.DataFile;

/** Rewrites the rows of data files, optionally sorted. */
class RewriteOperator extends GroupOperator<FileGroup> {
    private static final long serialVersionUID = 1L;

    private final boolean sorts;
    private final GroupFiles files;
    private final RowOrder order;
    private final boolean verify;

    RewriteOperator(
            List<FileGroup> groups, GroupFiles files, RowOrder order, boolean verify, int attempt) {
        super(groups, attempt);
        this.sorts = !order.isNone() || groups.stream().anyMatch(FileGroup::scattered);
        this.files = files;
        this.order = order;
        this.verify = verify;
    }

    @Override
    boolean sorts() {
        return sorts;
    }

    @Override
    Rewritten rewrite(FileGroup group, int attempt) throws IOException {
        if (order.isNone()) {
            Optional<Rewritten> merged = files.merge(group, attempt, verify);
            if (merged.isPresent()) {
                return merged.get();
            }
        }
        return rewriteRows(group, attempt);
    }

    private Rewritten rewriteRows(FileGroup group, int attempt) throws IOException {
        RowDigest before = new RowDigest(files.rowType());
        List<DataFile> written =
                files.write(
                        group,
                        attempt,
                        rows -> {
                            if (order.isNone() && !group.scattered()) {
                                files.read(
                                        group.tasks(),
                                        row -> {
                                            before.add(row);
                                            rows.accept(row);
                                        });
                            } else {
                                sorted(group, before, rows);
                            }
                        });
        RowDigest.Value after = verify ? files.digest(written) : before.value();
        return new Rewritten(written, before.value(), after);
    }

    private void sorted(FileGroup group, RowDigest before, Consumer<RowData> rows)
            throws IOException {
        PartitionNumbers numbers =
                group.scattered() ? new PartitionNumbers(files.partition()) : null;
        RowType type = numbers == null ? files.rowType() : PartitionNumbers.type(files.rowType());
        RowOrder by = numbers == null ? order : order.afterLast(type);
        try (RowSorter sorter = new RowSorter(getContainingTask(), getOperatorConfig(), type, by)) {
            files.read(
                    group.tasks(),
                    row -> {
                        before.add(row);
                        sorter.add(numbers == null ? row : numbers.add(row));
                    });
            sorter.forEach(rows);
        }
    }
}
