package lakehouse.table;

import java.time.Instant;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.Table;
import org.apache.iceberg.util.SnapshotUtil;

/** What a table held at some time. */
public final class History {
    private History() {}

    /**
     * The snapshot that was current at that time.
     *
     * @throws ValidationException when the table had none yet, or it has expired
     */
    public static long asOf(Table table, Instant time) {
        Long snapshot = SnapshotUtil.nullableSnapshotIdAsOfTime(table, time.toEpochMilli());
        if (snapshot == null) {
            String first =
                    table.history().isEmpty()
                            ? "it has none at all"
                            : "its first one is from "
                                    + Instant.ofEpochMilli(
                                            table.history().get(0).timestampMillis());
            throw new ValidationException(
                    "Table "
                            + table.name()
                            + " has no snapshot of "
                            + time
                            + " or before; "
                            + first);
        }
        return snapshot;
    }
}
