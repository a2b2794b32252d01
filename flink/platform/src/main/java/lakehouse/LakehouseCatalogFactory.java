package lakehouse;

import lakehouse.catalog.ProceduresCatalogFactory;

/**
 * {@code 'type' = 'lakehouse'}, the catalog's type in scripts deployed by earlier versions of the
 * platform: a job that is rolled back runs its last stable script again.
 */
public class LakehouseCatalogFactory extends ProceduresCatalogFactory {
    @Override
    public String factoryIdentifier() {
        return "lakehouse";
    }
}
