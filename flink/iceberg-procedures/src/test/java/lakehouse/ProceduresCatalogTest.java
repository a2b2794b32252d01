package lakehouse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProceduresCatalogTest {
    @TempDir Path folder;

    @Test
    void itIsIcebergsCatalogWithProcedures() throws Exception {
        try (Lakehouse lake = new Lakehouse(folder)) {
            var sql = lake.sql();
            sql.executeSql(
                    "CREATE TABLE lake.silver.zones (id INT, name STRING) PARTITIONED BY (id) WITH"
                            + " ('format-version' = '2')");
            sql.getConfig().set("execution.checkpointing.interval", "200 ms");
            sql.executeSql("INSERT INTO lake.silver.zones VALUES (1, 'a'), (2, 'b')").await();
            assertThat(lake.query("SELECT * FROM lake.silver.zones WHERE id = 2"))
                    .singleElement()
                    .satisfies(row -> assertThat(row).containsEntry("name", "b"));
            assertThat(lake.query("SELECT operation FROM lake.silver.`zones$snapshots`"))
                    .hasSize(1);
            assertThat(lake.query("CALL lake.sys.protected_snapshots('silver.zones')"))
                    .singleElement()
                    .satisfies(
                            row ->
                                    assertThat(row.get("protected_by"))
                                            .asString()
                                            .contains("branch main")
                                            .contains("its last commit"));
            assertThat(lake.query("SHOW PROCEDURES FROM lake.sys"))
                    .extracting(row -> row.get("procedure name"))
                    .containsExactly(
                            "add_files",
                            "ancestors_of",
                            "cherrypick_snapshot",
                            "compute_table_stats",
                            "create_branch",
                            "create_tag",
                            "create_tag_from_timestamp",
                            "delete_branch",
                            "delete_tag",
                            "expire_snapshots",
                            "fast_forward",
                            "protected_snapshots",
                            "publish_changes",
                            "register_table",
                            "remove_orphan_files",
                            "rewrite_data_files",
                            "rewrite_manifests",
                            "rewrite_position_delete_files",
                            "rollback_to_snapshot",
                            "rollback_to_timestamp",
                            "set_current_snapshot");
            assertThatThrownBy(() -> sql.executeSql("CALL lake.sys.compact('silver.zones')"))
                    .hasMessageContaining("compact");
            assertThatThrownBy(() -> sql.executeSql("SHOW PROCEDURES FROM lake.silver"));
        }
    }
}
