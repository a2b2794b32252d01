package lakehouse.procedure;

import java.util.function.Predicate;
import java.util.stream.Stream;
import lakehouse.protection.Protection;
import org.apache.flink.configuration.Configuration;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;

/**
 * What the procedures need from their catalog. Tables are named as in a call: {@code
 * database.table}, optionally preceded by the catalog's name.
 */
public interface MaintenanceCatalog {
    TableIdentifier identifier(String table);

    /**
     * The current state of the table.
     *
     * @throws org.apache.flink.table.api.ValidationException if there is no such table; the message
     *     lists the existing ones
     */
    Table load(String table);

    /**
     * Registers a table from its metadata file.
     *
     * @throws org.apache.flink.table.api.ValidationException if the table exists already, or the
     *     file is not a metadata file
     */
    Table register(String table, String metadataFile);

    /** All other tables, loaded lazily. */
    Stream<Table> others(String table);

    /** The folder that orphan files are moved to. */
    String quarantine();

    /** The session's execution.target, which Flink hides from procedures; null if not set. */
    String executionTarget();

    /** Whether a job with this ID can be restored. */
    Predicate<String> restorable();

    /** Which snapshots of the table must be kept, and for whom. */
    Protection protection(String table, Configuration session);
}
