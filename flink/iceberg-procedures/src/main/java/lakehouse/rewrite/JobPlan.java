package lakehouse.rewrite;

/**
 * How a job rewrites its groups.
 *
 * @param tasks as many at once, as far as there is work for them
 * @param shared whether there are fewer groups in the run than tasks, so that tasks share a group
 *     that can be divided
 * @param attempt distinguishes the names of its files from those of an earlier attempt
 */
record JobPlan(String name, int tasks, boolean shared, int attempt) {}
