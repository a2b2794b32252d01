package lakehouse.table;

import java.time.Instant;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.Table;
import org.apache.iceberg.util.SnapshotUtil;

/** A table's contents at a point in time. */
public final class History {
    private History() {}

    /**
     * The snapshot that was current at that time.
     *
     * @throws ValidationException if the table had no snapshot yet, or it has expired
     */
    public static long asOf(Table table, Instant time) {
        Long snapshot = SnapshotUtil.nullableSnapshotIdAsOfTime(table, time.toEpochMilli());
        if (snapshot == null) {
            String first =
                    table.history().isEmpty()
                            ? "it has no snapshots"
                            : "its first snapshot is from "
                                    + Instant.ofEpochMilli(
                                            table.history().get(0).timestampMillis());
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has no snapshot from "
                            + time
                            + " or earlier; "
                            + first);
        }
        return snapshot;
    }
}
