package lakehouse.rewrite;

/**
 * How a job rewrites its groups.
 *
 * @param tasks maximum number of concurrent tasks
 * @param shared whether the run has fewer groups than tasks, so that tasks share a group if it can
 *     be divided
 * @param attempt distinguishes the names of its files from those of an earlier attempt
 */
record JobPlan(String name, int tasks, boolean shared, int attempt) {}
