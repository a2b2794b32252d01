package lakehouse;

import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import lakehouse.catalog.ProceduresCatalog;
import org.junit.jupiter.api.Test;

class ArchitectureTest {
    @Test
    void packagesAreFreeOfCycles() {
        JavaClasses classes =
                new ClassFileImporter()
                        .importUrl(
                                ProceduresCatalog.class
                                        .getProtectionDomain()
                                        .getCodeSource()
                                        .getLocation());
        slices().matching("lakehouse.(*)..").should().beFreeOfCycles().check(classes);
    }
}
