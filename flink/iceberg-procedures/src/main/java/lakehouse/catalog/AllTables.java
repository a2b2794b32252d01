package lakehouse.catalog;

import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.stream.Stream;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.SupportsNamespaces;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.exceptions.NoSuchNamespaceException;
import org.apache.iceberg.flink.CatalogLoader;

/** All tables of a catalog, in namespaces at any depth; Flink SQL sees only one level. */
final class AllTables {
    private final Catalog catalog;

    private AllTables(Catalog catalog) {
        this.catalog = catalog;
    }

    static List<TableIdentifier> of(CatalogLoader loader) {
        // A separate catalog, because Flink's is wrapped in a cache that hides the namespaces.
        Catalog catalog = loader.loadCatalog();
        try (Closeable closing = catalog instanceof Closeable open ? open : () -> {}) {
            return new AllTables(catalog).below(Namespace.empty()).toList();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private Stream<TableIdentifier> below(Namespace namespace) {
        Stream<Namespace> nested =
                catalog instanceof SupportsNamespaces namespaces
                        ? namespaces.listNamespaces(namespace).stream()
                        : Stream.empty();
        return Stream.concat(in(namespace), nested.flatMap(this::below));
    }

    private Stream<TableIdentifier> in(Namespace namespace) {
        try {
            return catalog.listTables(namespace).stream();
        } catch (NoSuchNamespaceException none) {
            return Stream.empty();
        } catch (IllegalArgumentException error) {
            // This is how HadoopCatalog says that there are no tables without a namespace.
            if (namespace.isEmpty()) {
                return Stream.empty();
            }
            throw error;
        }
    }
}
