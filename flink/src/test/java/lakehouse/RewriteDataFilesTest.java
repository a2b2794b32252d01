package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.JAN_6;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.files;
import static lakehouse.Lakehouse.rows;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.apache.iceberg.Table;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RewriteDataFilesTest {
    @TempDir Path folder;
    private Lakehouse lake;
    private Table trips;

    @BeforeEach
    void open() throws Exception {
        lake = new Lakehouse(folder);
        trips = lake.trips();
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    @Test
    void manySmallFilesBecomeOneOfEachPartition() throws Exception {
        for (int i = 0; i < 6; i++) {
            append(trips, JAN_5, trip(i, JAN_5, i, "a"));
            append(trips, JAN_6, trip(100 + i, JAN_6, i, null));
        }
        List<String> before = rows(trips);
        var result = lake.call("rewrite_data_files(`table` => 'silver.trips')");
        System.out.println(result);
        assertThat(result)
                .containsEntry("rewritten_files_count", 12L)
                .containsEntry("added_files_count", 2L)
                .containsEntry("rewritten_rows", 12L)
                .containsEntry("groups", 2)
                .containsEntry("failed_groups", 0)
                .containsEntry("dry_run", false);
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(files(trips)).hasSize(2);
        assertThat(trips.currentSnapshot().operation()).isEqualTo("replace");
    }
}
