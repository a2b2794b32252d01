package lakehouse.table;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A path in canonical form: a table may contain both {@code file:/x}, written by Java, and {@code
 * file:///x}, written by Python, or {@code s3a} and {@code s3}. Escapes are left as they are,
 * because both sides use the store's own names.
 *
 * @param authority the bucket or host; empty for local files
 * @param path path, with a leading slash
 */
public record FilePath(String scheme, String authority, String path) {
    private static final Pattern URI =
            Pattern.compile("([A-Za-z][A-Za-z0-9+.-]*):(//([^/]*))?(.*)", Pattern.DOTALL);

    public static FilePath of(String location) {
        Matcher uri = URI.matcher(location);
        if (!uri.matches() || uri.group(1).equalsIgnoreCase("file")) {
            String path = uri.matches() ? uri.group(4) : location;
            return new FilePath(
                    "file", "", "/" + path.replaceAll("/+", "/").replaceFirst("^/", ""));
        }
        String scheme = uri.group(1).toLowerCase(Locale.ROOT).replaceFirst("^s3[an]$", "s3");
        String authority = uri.group(3) == null ? "" : uri.group(3);
        return new FilePath(scheme, authority, "/" + uri.group(4).replaceFirst("^/", ""));
    }

    public boolean sameStore(FilePath other) {
        return scheme.equals(other.scheme) && authority.equals(other.authority);
    }

    /** Whether this is the folder or is in it. */
    public boolean isIn(FilePath folder) {
        return sameStore(folder)
                && (path + "/").startsWith(folder.path.replaceFirst("/+$", "") + "/");
    }

    /** Whether it contains "." or "..", which give one folder several paths. */
    public boolean hasDotParts() {
        return path.matches("(?s).*/\\.\\.?(/.*)?");
    }

    public String name() {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    /** The new path of a file that is moved to a folder and keeps its own path there. */
    public String below(String folder) {
        return folder + "/" + scheme + "/" + (authority.isEmpty() ? "-" : authority) + path;
    }
}
