package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.LITERAL;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.data.GenericRowData;
import org.apache.iceberg.Table;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TimeTravelTest {
    @TempDir Path folder;

    @Test
    void aTableIsReadAsItWas() throws Exception {
        try (Lakehouse lake = new Lakehouse(folder)) {
            Table trips = lake.trips();
            assertThatThrownBy(() -> at(lake, "id", Instant.now()))
                    .hasStackTraceContaining("it has no snapshots");
            append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
            Instant first = Instant.ofEpochMilli(trips.currentSnapshot().timestampMillis());
            Thread.sleep(20);
            trips.updateSchema()
                    .addColumn("later", Types.StringType.get())
                    .renameColumn("zone", "area")
                    .deleteColumn("at")
                    .commit();
            append(
                    trips,
                    JAN_5,
                    GenericRowData.of(2L, (int) JAN_5.toEpochDay(), 3, null, null, null));
            Instant second = Instant.ofEpochMilli(trips.currentSnapshot().timestampMillis());

            assertThat(at(lake, "*", first))
                    .singleElement()
                    .satisfies(
                            row ->
                                    assertThat(row)
                                            .containsEntry("id", 1L)
                                            .containsEntry("area", "a")
                                            .doesNotContainKey("later"));
            assertThat(at(lake, "id", first.plusMillis(5))).containsExactly(Map.of("id", 1L));
            assertThat(at(lake, "id, later", second)).hasSize(2);
            assertThat(lake.query("SELECT id FROM lake.silver.trips")).hasSize(2);
            assertThatThrownBy(() -> at(lake, "id", first.minusMillis(1)))
                    .hasStackTraceContaining("Table lake.silver.trips has no snapshot from")
                    .hasStackTraceContaining("its first snapshot is from " + first);
        }
    }

    @Test
    void tagsAndBranchesAreReadWithAHint() throws Exception {
        try (Lakehouse lake = new Lakehouse(folder)) {
            Table trips = lake.trips();
            append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
            lake.call("create_tag('silver.trips', 'first')");
            lake.call("create_branch('silver.trips', 'audit')");
            append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
            for (String hint : List.of("'tag' = 'first'", "'branch' = 'audit'")) {
                assertThat(
                                lake.query(
                                        "SELECT id FROM lake.silver.trips /*+ OPTIONS("
                                                + hint
                                                + ") */"))
                        .containsExactly(Map.of("id", 1L));
            }
        }
    }

    private static List<Map<String, Object>> at(Lakehouse lake, String columns, Instant time) {
        lake.sql().getConfig().setLocalTimeZone(ZoneOffset.UTC);
        // Flink asks the session's current catalog first, even for a qualified name, and its
        // in-memory one does not support time travel.
        lake.sql().useCatalog("lake");
        return lake.query(
                "SELECT "
                        + columns
                        + " FROM lake.silver.trips FOR SYSTEM_TIME AS OF TIMESTAMP '"
                        + LITERAL.format(time)
                        + "'");
    }
}
