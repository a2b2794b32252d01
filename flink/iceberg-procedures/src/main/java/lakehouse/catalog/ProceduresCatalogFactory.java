package lakehouse.catalog;

import java.util.Map;
import org.apache.flink.table.catalog.Catalog;
import org.apache.iceberg.CatalogProperties;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.flink.CatalogLoaders;
import org.apache.iceberg.flink.FlinkCatalogFactory;
import org.apache.iceberg.util.PropertyUtil;

/**
 * {@code 'type' = 'iceberg-procedures'}: Iceberg's catalog with the same options, plus procedures
 * and time travel.
 *
 * <p>For additional options see {@link ProceduresCatalog}.
 */
public class ProceduresCatalogFactory extends FlinkCatalogFactory {
    @Override
    public String factoryIdentifier() {
        return "iceberg-procedures";
    }

    @Override
    public Catalog createCatalog(Context context) {
        String name = context.getName();
        Map<String, String> options = context.getOptions();
        String namespace = options.get(BASE_NAMESPACE);
        long cacheExpires =
                PropertyUtil.propertyAsLong(
                        options,
                        CatalogProperties.CACHE_EXPIRATION_INTERVAL_MS,
                        CatalogProperties.CACHE_EXPIRATION_INTERVAL_MS_OFF);
        if (cacheExpires == 0) {
            throw new IllegalArgumentException(
                    CatalogProperties.CACHE_EXPIRATION_INTERVAL_MS + " is not allowed to be 0.");
        }
        return new ProceduresCatalog(
                name,
                options.getOrDefault(DEFAULT_DATABASE, DEFAULT_DATABASE_NAME),
                namespace == null ? Namespace.empty() : Namespace.of(namespace.split("\\.")),
                CatalogLoaders.of(name, options, clusterHadoopConf()),
                options,
                PropertyUtil.propertyAsBoolean(
                        options,
                        CatalogProperties.CACHE_ENABLED,
                        CatalogProperties.CACHE_ENABLED_DEFAULT),
                cacheExpires,
                context.getConfiguration());
    }
}
