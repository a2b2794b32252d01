package org.apache.iceberg.flink;

import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/** Iceberg's own parsing of a catalog's options, which is package-private. */
public final class CatalogLoaders {
    private CatalogLoaders() {}

    public static CatalogLoader of(String name, Map<String, String> options, Configuration hadoop) {
        return FlinkCatalogFactory.createCatalogLoader(name, options, hadoop);
    }
}
