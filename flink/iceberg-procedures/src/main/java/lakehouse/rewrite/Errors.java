package lakehouse.rewrite;

/** What an error says. */
final class Errors {
    private Errors() {}

    /** The message of the first cause: what wraps it only says that something failed. */
    static String root(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return root.getMessage() == null ? root.toString() : root.getMessage();
    }
}
