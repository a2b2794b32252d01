package lakehouse.table;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.iceberg.SnapshotRef;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.util.PropertyUtil;

/**
 * The branches and tags of a table.
 *
 * @param kept the others, by name
 * @param expired those older than their max-ref-age-ms, which Iceberg removes with the next expiry;
 *     with their kind
 */
public record References(Map<String, SnapshotRef> kept, List<String> expired) {
    public static References of(Table table) {
        long now = System.currentTimeMillis();
        long age =
                PropertyUtil.propertyAsLong(
                        table.properties(),
                        TableProperties.MAX_REF_AGE_MS,
                        TableProperties.MAX_REF_AGE_MS_DEFAULT);
        Map<String, SnapshotRef> kept = new LinkedHashMap<>();
        List<String> expired = new ArrayList<>();
        table.refs()
                .forEach(
                        (name, ref) -> {
                            long most = ref.maxRefAgeMs() == null ? age : ref.maxRefAgeMs();
                            long since = table.snapshot(ref.snapshotId()).timestampMillis();
                            if (name.equals(SnapshotRef.MAIN_BRANCH) || now - since <= most) {
                                kept.put(name, ref);
                            } else {
                                expired.add(described(name, ref));
                            }
                        });
        return new References(kept, expired);
    }

    public static String described(String name, SnapshotRef ref) {
        return (ref.isTag() ? "tag " : "branch ") + name;
    }
}
