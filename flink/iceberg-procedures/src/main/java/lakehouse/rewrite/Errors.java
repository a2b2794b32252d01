package lakehouse.rewrite;

/** Messages of errors. */
final class Errors {
    private Errors() {}

    /** The message of the root cause; the exceptions around it only say that something failed. */
    static String root(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return root.getMessage() == null ? root.toString() : root.getMessage();
    }
}
