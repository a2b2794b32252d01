package lakehouse.orphan;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import lakehouse.table.FilePath;

/**
 * Which schemes and authorities are the same, as Iceberg's procedure for Spark is given them, and
 * what becomes of a file whose path the table knows with another one.
 */
public final class Prefixes {
    /** What Spark's users know by these names. */
    public enum Mismatch {
        ERROR,
        IGNORE,
        DELETE
    }

    private final Map<String, String> schemes;
    private final Map<String, String> authorities;
    private final Mismatch mismatch;

    /**
     * @param schemes what each stands for
     * @param authorities the same of these
     */
    public Prefixes(
            Map<String, String> schemes, Map<String, String> authorities, Mismatch mismatch) {
        this.schemes = lower(schemes);
        this.authorities = lower(authorities);
        this.mismatch = mismatch;
    }

    private static Map<String, String> lower(Map<String, String> equal) {
        Map<String, String> lower = new HashMap<>();
        equal.forEach((name, same) -> lower.put(lower(name), lower(same)));
        return lower;
    }

    private static String lower(String text) {
        return text.toLowerCase(Locale.ROOT);
    }

    Mismatch mismatch() {
        return mismatch;
    }

    /** The one spelling of a location, to be compared with others. */
    FilePath of(String location) {
        FilePath path = FilePath.of(location);
        String authority = lower(path.authority());
        return new FilePath(
                schemes.getOrDefault(path.scheme(), path.scheme()),
                authorities.getOrDefault(authority, authority),
                path.path());
    }

    /**
     * Whether a location that the table knows has the scheme and authority of a listed file; what
     * it does not say, it has.
     */
    boolean match(String known, FilePath listed) {
        FilePath path = of(known);
        return known.startsWith("/")
                || path.scheme().equals(listed.scheme())
                        && (path.authority().isEmpty()
                                || path.authority().equals(listed.authority()));
    }
}
