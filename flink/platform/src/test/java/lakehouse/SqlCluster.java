package lakehouse;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/** A small Flink cluster for all tests, which ends with the JVM, and SQL sessions on it. */
public final class SqlCluster {
    private static MiniCluster running;

    private SqlCluster() {}

    public static synchronized MiniCluster running() throws Exception {
        if (running == null) {
            Configuration configuration = new Configuration();
            configuration.set(RestOptions.BIND_PORT, "0");
            configuration.set(JobManagerOptions.SLOT_REQUEST_TIMEOUT, Duration.ofSeconds(30));
            configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(64));
            configuration.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(32));
            configuration.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(32));
            running =
                    new MiniCluster(
                            new MiniClusterConfiguration.Builder()
                                    .setConfiguration(configuration)
                                    .setNumTaskManagers(1)
                                    .setNumSlotsPerTaskManager(4)
                                    .build());
            running.start();
        }
        return running;
    }

    /** A streaming session, as one of the SQL Gateway. */
    public static TableEnvironment session(Map<String, String> options) throws Exception {
        Configuration configuration = Configuration.fromMap(options);
        var rest = running().getRestAddress().get();
        configuration.set(DeploymentOptions.TARGET, "remote");
        configuration.set(RestOptions.ADDRESS, rest.getHost());
        configuration.set(RestOptions.PORT, rest.getPort());
        if (!configuration.contains(CoreOptions.DEFAULT_PARALLELISM)) {
            configuration.set(CoreOptions.DEFAULT_PARALLELISM, 1);
        }
        return TableEnvironment.create(
                EnvironmentSettings.newInstance()
                        .inStreamingMode()
                        .withConfiguration(configuration)
                        .build());
    }

    /** All rows of a query that ends, as text, sorted. */
    public static List<String> query(TableEnvironment sql, String statement) throws Exception {
        List<String> rows = new ArrayList<>();
        try (CloseableIterator<Row> iterator = sql.executeSql(statement).collect()) {
            iterator.forEachRemaining(row -> rows.add(row.toString()));
        }
        return rows.stream().sorted().toList();
    }
}
