package lakehouse;

import lakehouse.catalog.ProceduresCatalogFactory;

/**
 * {@code 'type' = 'lakehouse'}, as the catalog was called in scripts of jobs that earlier versions
 * of the platform deployed: a job that is rolled back runs its last stable script again.
 */
public class LakehouseCatalogFactory extends ProceduresCatalogFactory {
    @Override
    public String factoryIdentifier() {
        return "lakehouse";
    }
}
