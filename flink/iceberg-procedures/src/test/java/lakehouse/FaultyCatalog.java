package lakehouse;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.TableOperations;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.encryption.EncryptionManager;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.LocationProvider;
import org.apache.iceberg.jdbc.JdbcCatalog;

/** A catalog in which something else happens during a commit. */
public class FaultyCatalog extends JdbcCatalog {
    interface Fault {
        /** Runs in place of a commit. */
        void commit(TableOperations table, TableMetadata base, TableMetadata metadata)
                throws Exception;
    }

    /** Replaces the next commit only. */
    static final AtomicReference<Fault> NEXT = new AtomicReference<>();

    /** How many times loading the table fails. */
    static final AtomicInteger BLIND = new AtomicInteger();

    @Override
    protected TableOperations newTableOps(TableIdentifier identifier) {
        TableOperations table = super.newTableOps(identifier);
        return new TableOperations() {
            @Override
            public TableMetadata current() {
                return table.current();
            }

            @Override
            public TableMetadata refresh() {
                if (BLIND.getAndUpdate(left -> Math.max(0, left - 1)) > 0) {
                    throw new UncheckedIOException(new IOException("no connection"));
                }
                return table.refresh();
            }

            @Override
            public void commit(TableMetadata base, TableMetadata metadata) {
                Fault fault = NEXT.getAndSet(null);
                if (fault == null) {
                    table.commit(base, metadata);
                    return;
                }
                try {
                    fault.commit(table, base, metadata);
                } catch (RuntimeException error) {
                    throw error;
                } catch (Exception error) {
                    throw new AssertionError(error);
                }
            }

            @Override
            public FileIO io() {
                return table.io();
            }

            @Override
            public EncryptionManager encryption() {
                return table.encryption();
            }

            @Override
            public String metadataFileLocation(String name) {
                return table.metadataFileLocation(name);
            }

            @Override
            public LocationProvider locationProvider() {
                return table.locationProvider();
            }

            @Override
            public TableOperations temp(TableMetadata uncommitted) {
                return table.temp(uncommitted);
            }

            @Override
            public long newSnapshotId() {
                return table.newSnapshotId();
            }
        };
    }
}
