package lakehouse.rewrite;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.BigIntType;
import org.apache.flink.table.types.logical.DoubleType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.VarCharType;
import org.junit.jupiter.api.Test;

class RowDigestTest {
    private static final RowType TYPE =
            RowType.of(new BigIntType(), VarCharType.STRING_TYPE, new DoubleType());

    private static RowData row(Long id, String text, Double number) {
        return GenericRowData.of(id, StringData.fromString(text), number);
    }

    private static RowDigest.Value digest(RowData... rows) {
        RowDigest digest = new RowDigest(TYPE);
        for (RowData row : rows) {
            digest.add(row);
        }
        return digest.value();
    }

    @Test
    void theDigestDoesNotDependOnTheOrderOfRows() {
        RowData a = row(1L, "a longer text than fits next to the others", 0.5);
        RowData b = row(null, "", null);
        assertThat(digest(a, b, a)).isEqualTo(digest(a, a, b)).isNotEqualTo(digest(a, b, b));
    }

    @Test
    void anyDifferentBitChangesTheDigest() {
        Set<RowDigest.Value> seen = new HashSet<>();
        int count = 0;
        for (Long id : new Long[] {null, 0L, 1L, 2L, -1L, 1L << 32, Long.MIN_VALUE}) {
            for (String text :
                    new String[] {
                        null, "", "a", "b", "ab", "a\0", "a longer text", "a longer tex"
                    }) {
                for (Double number : new Double[] {null, 0.0, -0.0, 1.0, Double.NaN, 1e-300}) {
                    seen.add(digest(row(id, text, number)));
                    count++;
                }
            }
        }
        assertThat(seen).hasSize(count);
        assertThat(digest(row(1L, "a", 1.0), row(2L, "b", 2.0)))
                .isNotEqualTo(digest(row(2L, "a", 1.0), row(1L, "b", 2.0)));
    }
}
