package lakehouse.procedure;

import java.util.function.Predicate;
import java.util.stream.Stream;
import lakehouse.protection.Protection;
import org.apache.flink.configuration.Configuration;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;

/**
 * What the procedures need of the catalog that they belong to. A table is named as a caller writes
 * it: {@code database.table}, which may have the catalog's name before it.
 */
public interface MaintenanceCatalog {
    TableIdentifier identifier(String table);

    /**
     * The table as it is now.
     *
     * @throws org.apache.flink.table.api.ValidationException when there is no such table; it names
     *     the tables that there are
     */
    Table load(String table);

    /**
     * Makes a table that the catalog does not know, from its metadata file.
     *
     * @throws org.apache.flink.table.api.ValidationException when the table is there already, or
     *     the file is none
     */
    Table register(String table, String metadataFile);

    /** All tables but this one, each loaded when it is asked for. */
    Stream<Table> others(String table);

    /** The folder that orphan files are moved to. */
    String quarantine();

    /** Where the session runs its jobs, which Flink hides from procedures; null where unset. */
    String executionTarget();

    /** Whether a job of that ID can be restored. */
    Predicate<String> restorable();

    /** What of the table must be kept, and for whom. */
    Protection protection(String table, Configuration session);
}
