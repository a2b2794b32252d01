package lakehouse.catalog;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;
import lakehouse.procedure.AddFiles;
import lakehouse.procedure.AncestorsOf;
import lakehouse.procedure.Branches;
import lakehouse.procedure.ComputeTableStats;
import lakehouse.procedure.CurrentSnapshot;
import lakehouse.procedure.ExpireSnapshots;
import lakehouse.procedure.MaintenanceCatalog;
import lakehouse.procedure.ProtectedSnapshots;
import lakehouse.procedure.RegisterTable;
import lakehouse.procedure.RemoveOrphanFiles;
import lakehouse.procedure.RewriteDataFiles;
import lakehouse.procedure.RewriteManifests;
import lakehouse.procedure.RewritePositionDeleteFiles;
import lakehouse.procedure.Tags;
import lakehouse.protection.Protection;
import lakehouse.table.History;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.CatalogTable;
import org.apache.flink.table.catalog.ObjectPath;
import org.apache.flink.table.catalog.exceptions.CatalogException;
import org.apache.flink.table.catalog.exceptions.DatabaseNotExistException;
import org.apache.flink.table.catalog.exceptions.ProcedureNotExistException;
import org.apache.flink.table.catalog.exceptions.TableNotExistException;
import org.apache.flink.table.procedures.Procedure;
import org.apache.iceberg.CatalogProperties;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.exceptions.AlreadyExistsException;
import org.apache.iceberg.exceptions.NoSuchNamespaceException;
import org.apache.iceberg.exceptions.NoSuchTableException;
import org.apache.iceberg.exceptions.NotFoundException;
import org.apache.iceberg.flink.CatalogLoader;
import org.apache.iceberg.flink.FlinkCatalog;
import org.apache.iceberg.flink.FlinkReadOptions;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.util.SnapshotUtil;

/**
 * Iceberg's catalog for Flink SQL, plus maintenance procedures in the database {@code system} and
 * time travel.
 */
public class ProceduresCatalog extends FlinkCatalog implements MaintenanceCatalog {
    /** The folder of all jobs' checkpoints and savepoints. */
    public static final String STATE_DIR = "maintenance.state-dir";

    /**
     * The folder that orphan files are moved to; by default {@code _quarantine} in the warehouse.
     */
    public static final String QUARANTINE_DIR = "maintenance.quarantine-dir";

    /**
     * Spark users know {@code system}, which must be quoted in Flink SQL because SYSTEM is a
     * reserved word there; {@code sys} needs no quotes.
     */
    private static final Set<String> SYSTEM = Set.of("system", "sys");

    private static final Map<String, Function<MaintenanceCatalog, Procedure>> PROCEDURES =
            new TreeMap<>(
                    Map.ofEntries(
                            entry("add_files", AddFiles::new),
                            entry("ancestors_of", AncestorsOf::new),
                            entry("cherrypick_snapshot", CurrentSnapshot.CherrypickSnapshot::new),
                            entry("compute_table_stats", ComputeTableStats::new),
                            entry("create_branch", Branches.CreateBranch::new),
                            entry("create_tag", Tags.CreateTag::new),
                            entry("create_tag_from_timestamp", Tags.CreateTagFromTimestamp::new),
                            entry("delete_branch", Branches.DeleteBranch::new),
                            entry("delete_tag", Tags.DeleteTag::new),
                            entry("expire_snapshots", ExpireSnapshots::new),
                            entry("fast_forward", Branches.FastForward::new),
                            entry("protected_snapshots", ProtectedSnapshots::new),
                            entry("publish_changes", CurrentSnapshot.PublishChanges::new),
                            entry("register_table", RegisterTable::new),
                            entry("remove_orphan_files", RemoveOrphanFiles::new),
                            entry("rewrite_data_files", RewriteDataFiles::new),
                            entry("rewrite_manifests", RewriteManifests::new),
                            entry("rewrite_position_delete_files", RewritePositionDeleteFiles::new),
                            entry("rollback_to_snapshot", CurrentSnapshot.RollbackToSnapshot::new),
                            entry(
                                    "rollback_to_timestamp",
                                    CurrentSnapshot.RollbackToTimestamp::new),
                            entry(
                                    "set_current_snapshot",
                                    CurrentSnapshot.SetCurrentSnapshot::new)));

    private final Namespace baseNamespace;
    private final CatalogLoader loader;
    private final Map<String, String> options;
    private final ReadableConfig session;

    ProceduresCatalog(
            String name,
            String defaultDatabase,
            Namespace baseNamespace,
            CatalogLoader loader,
            Map<String, String> options,
            boolean cacheEnabled,
            long cacheExpiresMs,
            ReadableConfig session) {
        super(name, defaultDatabase, baseNamespace, loader, options, cacheEnabled, cacheExpiresMs);
        this.baseNamespace = baseNamespace;
        this.loader = loader;
        this.options = options;
        this.session = session;
    }

    private static Map.Entry<String, Function<MaintenanceCatalog, Procedure>> entry(
            String name, Function<MaintenanceCatalog, Procedure> procedure) {
        return Map.entry(name, procedure);
    }

    @Override
    public List<String> listProcedures(String database) throws DatabaseNotExistException {
        if (!SYSTEM.contains(database)) {
            throw new DatabaseNotExistException(getName(), database);
        }
        return new ArrayList<>(PROCEDURES.keySet());
    }

    @Override
    public Procedure getProcedure(ObjectPath path) throws ProcedureNotExistException {
        Function<MaintenanceCatalog, Procedure> procedure =
                SYSTEM.contains(path.getDatabaseName())
                        ? PROCEDURES.get(path.getObjectName())
                        : null;
        if (procedure == null) {
            throw new ProcedureNotExistException(getName(), path);
        }
        return procedure.apply(this);
    }

    @Override
    public TableIdentifier identifier(String table) {
        if (table == null || table.isBlank()) {
            throw new ValidationException("table => '...' is needed");
        }
        List<String> parts = new ArrayList<>(Arrays.asList(table.replace("`", "").split("\\.")));
        if (parts.size() == 3 && parts.get(0).equals(getName())) {
            parts.remove(0);
        }
        if (parts.size() != 2) {
            throw new ValidationException(
                    "table => '" + table + "' is not of the form database.table");
        }
        return identifier(new ObjectPath(parts.get(0), parts.get(1)));
    }

    private TableIdentifier identifier(ObjectPath path) {
        List<String> levels = new ArrayList<>(Arrays.asList(baseNamespace.levels()));
        levels.add(path.getDatabaseName());
        return TableIdentifier.of(
                Namespace.of(levels.toArray(String[]::new)), path.getObjectName());
    }

    @Override
    public Table load(String name) {
        TableIdentifier identifier = identifier(name);
        try {
            Table table = catalog().loadTable(identifier);
            table.refresh();
            return table;
        } catch (NoSuchTableException error) {
            throw new ValidationException(
                    "There is no table "
                            + name
                            + " in catalog "
                            + getName()
                            + "; "
                            + choices(identifier.namespace()),
                    error);
        }
    }

    @Override
    public Table register(String name, String metadataFile) {
        try {
            return catalog().registerTable(identifier(name), metadataFile);
        } catch (AlreadyExistsException
                | NoSuchNamespaceException
                | NotFoundException
                | IllegalArgumentException error) {
            throw new ValidationException(
                    "Table "
                            + name
                            + " is not registered from "
                            + metadataFile
                            + ": "
                            + error.getMessage(),
                    error);
        }
    }

    /** The table's rows as of that time, with the columns that existed then and still exist. */
    @Override
    public CatalogTable getTable(ObjectPath path, long timestamp) throws TableNotExistException {
        CatalogTable today = getTable(path);
        if (path.getObjectName().contains("$")) {
            throw new CatalogException(
                    "FOR SYSTEM_TIME AS OF is for tables; " + path + " is metadata");
        }
        Table table = load(path.getFullName());
        long snapshot = History.asOf(table, Instant.ofEpochMilli(timestamp));
        org.apache.iceberg.Schema then = SnapshotUtil.schemaFor(table, snapshot);
        org.apache.iceberg.Schema columns =
                new org.apache.iceberg.Schema(
                        table.schema().columns().stream()
                                .filter(column -> then.findField(column.fieldId()) != null)
                                .toList());
        Map<String, String> with = new HashMap<>(today.getOptions());
        with.put(FlinkReadOptions.SNAPSHOT_ID.key(), String.valueOf(snapshot));
        return CatalogTable.newBuilder()
                .schema(
                        Schema.newBuilder()
                                .fromResolvedSchema(FlinkSchemaUtil.toResolvedSchema(columns))
                                .build())
                .options(with)
                .snapshot(timestamp)
                .build();
    }

    @Override
    public String quarantine() {
        String given = options.get(QUARANTINE_DIR);
        String warehouse = options.get(CatalogProperties.WAREHOUSE_LOCATION);
        if (given != null) {
            return given;
        }
        if (warehouse == null || !warehouse.contains("/")) {
            throw new ValidationException(
                    "The quarantine folder for orphan files is unknown: catalog "
                            + getName()
                            + (warehouse == null
                                    ? " has no option 'warehouse'"
                                    : " has the warehouse '"
                                            + warehouse
                                            + "', which is a name, not a folder")
                            + ". Next: add the option '"
                            + QUARANTINE_DIR
                            + "', a folder in the tables' store");
        }
        return warehouse.replaceFirst("/+$", "") + "/_quarantine";
    }

    @Override
    public Stream<Table> others(String table) {
        return others(identifier(table)).map(catalog()::loadTable);
    }

    private Stream<TableIdentifier> others(TableIdentifier identifier) {
        return AllTables.of(loader).stream().filter(other -> !other.equals(identifier));
    }

    @Override
    public Predicate<String> restorable() {
        return Protection.restorable(Optional.ofNullable(options.get(STATE_DIR)));
    }

    @Override
    public String executionTarget() {
        return session.get(DeploymentOptions.TARGET);
    }

    @Override
    public Protection protection(String table, Configuration session) {
        TableIdentifier identifier = identifier(table);
        return Protection.of(
                load(table),
                identifier,
                Optional.ofNullable(options.get(STATE_DIR)),
                session,
                snapshot ->
                        namesakes(identifier)
                                .anyMatch(namesake -> namesake.snapshot(snapshot) != null));
    }

    /** Tables of the same name in other databases. */
    private Stream<Table> namesakes(TableIdentifier identifier) {
        return others(identifier)
                .filter(other -> other.name().equals(identifier.name()))
                .map(catalog()::loadTable);
    }

    private String choices(Namespace namespace) {
        try {
            return "database "
                    + namespace
                    + " holds "
                    + catalog().listTables(namespace).stream().map(TableIdentifier::name).toList();
        } catch (NoSuchNamespaceException error) {
            return "the databases are " + listDatabases();
        }
    }
}
