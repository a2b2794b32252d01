package lakehouse.table;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A path, however it was spelled: one table holds {@code file:/x} and {@code file:///x}, written by
 * Java and by Python, and {@code s3a} beside {@code s3}. Escapes are left alone, because both sides
 * have them as they are in the store.
 *
 * @param authority the bucket or host; empty for local files
 * @param path begins with a slash
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

    /** Whether this is the folder or lies in it. */
    public boolean isIn(FilePath folder) {
        return sameStore(folder)
                && (path + "/").startsWith(folder.path.replaceFirst("/+$", "") + "/");
    }

    /** Whether it has a part that is "." or "..", so that one folder has two paths. */
    public boolean hasDotParts() {
        return path.matches("(?s).*/\\.\\.?(/.*)?");
    }

    public String name() {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    /** Where a file that is taken away keeps its path. */
    public String below(String folder) {
        return folder + "/" + scheme + "/" + (authority.isEmpty() ? "-" : authority) + path;
    }
}
