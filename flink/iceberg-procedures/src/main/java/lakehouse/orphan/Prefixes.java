package lakehouse.orphan;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import lakehouse.table.FilePath;

/**
 * Which schemes and authorities are equal, with the arguments of Iceberg's Spark procedure, and
 * what to do with a file that the table references with a different one.
 */
public final class Prefixes {
    /** The modes of Iceberg's Spark procedure, by the same names. */
    public enum Mismatch {
        ERROR,
        IGNORE,
        DELETE
    }

    private final Map<String, String> schemes;
    private final Map<String, String> authorities;
    private final Mismatch mismatch;

    /**
     * @param schemes the equivalent of each scheme
     * @param authorities the same for authorities
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

    /** The canonical form of a location, for comparisons. */
    FilePath of(String location) {
        FilePath path = FilePath.of(location);
        String authority = lower(path.authority());
        return new FilePath(
                schemes.getOrDefault(path.scheme(), path.scheme()),
                authorities.getOrDefault(authority, authority),
                path.path());
    }

    /**
     * Whether a location in the table has the scheme and authority of a listed file. A location
     * without them matches any.
     */
    boolean match(String known, FilePath listed) {
        FilePath path = of(known);
        return known.startsWith("/")
                || path.scheme().equals(listed.scheme())
                        && (path.authority().isEmpty()
                                || path.authority().equals(listed.authority()));
    }
}
