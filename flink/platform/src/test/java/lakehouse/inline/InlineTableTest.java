package lakehouse.inline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import lakehouse.SqlCluster;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InlineTableTest {
    private TableEnvironment sql;

    @BeforeEach
    void open() throws Exception {
        sql = SqlCluster.session(Map.of());
        sql.executeSql(
                "CREATE TEMPORARY VIEW trips AS SELECT *, PROCTIME() AS arrived_at FROM (VALUES (1, 'a'),"
                        + " (2, 'b'), (CAST(NULL AS INT), 'c'), (4, CAST(NULL AS STRING)))"
                        + " AS trips(id, zone)");
    }

    private void zones(String rows, String... options) {
        String all =
                String.join(", ", options).replaceFirst("^(?=.)", ", ")
                        + ", 'rows' = '"
                        + rows.replace("'", "''")
                        + "'";
        sql.executeSql(
                "CREATE TEMPORARY TABLE zones (id INT, code STRING, name STRING) WITH"
                        + " ('connector' = 'inline', 'format' = 'csv'"
                        + all
                        + ")");
    }

    /** Each trip with the zone's name that this condition finds. */
    private List<String> join(String condition) throws Exception {
        return SqlCluster.query(
                sql,
                "SELECT trips.id, zones.name FROM trips LEFT JOIN zones FOR SYSTEM_TIME AS OF"
                        + " trips.arrived_at ON "
                        + condition);
    }

    @Test
    void eachRowFindsThatOfItsKey() throws Exception {
        zones("1,a,Alphabet City\n\n2,b,Bedford\n3,d,Dyker Heights\n");
        assertThat(join("zones.id = trips.id"))
                .containsExactly(
                        "+I[1, Alphabet City]", "+I[2, Bedford]", "+I[4, null]", "+I[null, null]");
        assertThat(join("zones.code = trips.zone"))
                .containsExactly(
                        "+I[1, Alphabet City]", "+I[2, Bedford]", "+I[4, null]", "+I[null, null]");
    }

    @Test
    void severalColumnsAreOneKeyInAnyOrder() throws Exception {
        zones("1,a,both\n2,a,id alone\n1,b,code alone");
        for (String condition :
                List.of(
                        "zones.id = trips.id AND zones.code = trips.zone",
                        "zones.code = trips.zone AND zones.id = trips.id")) {
            assertThat(join(condition))
                    .containsExactly("+I[1, both]", "+I[2, null]", "+I[4, null]", "+I[null, null]");
        }
    }

    @Test
    void everyRowOfAKeyIsFound() throws Exception {
        zones("1,a,one\n1,a,another\n1,a,one");
        assertThat(join("zones.id = trips.id"))
                .containsExactly(
                        "+I[1, another]",
                        "+I[1, one]",
                        "+I[1, one]",
                        "+I[2, null]",
                        "+I[4, null]",
                        "+I[null, null]");
    }

    @Test
    void aMissingKeyEqualsNoOther() throws Exception {
        zones("n/a,a,nowhere\n1,n/a,somewhere", "'csv.null-literal' = 'n/a'");
        assertThat(join("zones.id = trips.id"))
                .containsExactly(
                        "+I[1, somewhere]", "+I[2, null]", "+I[4, null]", "+I[null, null]");
        assertThat(join("zones.code = trips.zone"))
                .containsExactly("+I[1, nowhere]", "+I[2, null]", "+I[4, null]", "+I[null, null]");
    }

    @Test
    void quotesOfTheFormatAndOfSql() throws Exception {
        zones("1,a,\"Governor's Island, \"\"Ellis\"\"\"\n2,b,\"Ö, ü\"");
        assertThat(join("zones.id = trips.id"))
                .contains("+I[1, Governor's Island, \"Ellis\"]", "+I[2, Ö, ü]");
    }

    @Test
    void aRowThatCannotBeReadIsNamed() {
        zones("1,a,Alphabet City\ntwo,b,Bedford");
        assertThatThrownBy(() -> join("zones.id = trips.id"))
                .hasStackTraceContaining(
                        "this row of the inline table cannot be read: two,b,Bedford. Next: correct"
                                + " it in the option 'rows', or the table's columns");
    }

    @Test
    void aRowThatTheFormatIgnoresIsNone() throws Exception {
        zones("1,a,Alphabet City\n2,b,\"Bedford", "'csv.ignore-parse-errors' = 'true'");
        assertThat(join("zones.id = trips.id")).contains("+I[1, Alphabet City]", "+I[2, null]");
    }

    @ParameterizedTest
    @CsvSource({
        "rows, format, csv, Missing required options are",
        "format, rows, 1, Could not find required scan format"
    })
    void bothOptionsAreRequired(String missing, String given, String value, String message) {
        sql.executeSql(
                "CREATE TEMPORARY TABLE zones (id INT, name STRING) WITH ('connector' = 'inline', '%s' = '%s')"
                        .formatted(given, value));
        assertThatThrownBy(() -> join("zones.id = trips.id"))
                .hasStackTraceContaining(message)
                .hasStackTraceContaining(missing);
    }

    @Test
    void anUnknownOptionIsNamed() {
        zones("1,a,Alphabet City", "'row' = '2,b,Bedford'");
        assertThatThrownBy(() -> join("zones.id = trips.id"))
                .hasStackTraceContaining("Unsupported options:\n\nrow");
    }
}
