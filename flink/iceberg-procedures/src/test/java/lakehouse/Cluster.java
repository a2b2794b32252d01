package lakehouse;

import java.net.URI;
import java.time.Duration;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.HeartbeatManagerOptions;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;

/** A small Flink cluster, reached by its REST address as a real one is. */
final class Cluster implements AutoCloseable {
    private static Cluster running;

    final MiniCluster flink;
    final URI rest;

    Cluster(int taskManagers, int slotsOfEach) throws Exception {
        Configuration configuration = new Configuration();
        configuration.set(RestOptions.BIND_PORT, "0");
        // A TaskManager that is gone is missed that soon.
        configuration.set(HeartbeatManagerOptions.HEARTBEAT_INTERVAL, Duration.ofSeconds(1));
        configuration.set(HeartbeatManagerOptions.HEARTBEAT_TIMEOUT, Duration.ofSeconds(10));
        // So long is a slot waited for.
        configuration.set(JobManagerOptions.SLOT_REQUEST_TIMEOUT, Duration.ofSeconds(10));
        // So little that a test need not sort many rows to go beyond it.
        configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(8));
        configuration.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(8));
        configuration.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(8));
        flink =
                new MiniCluster(
                        new MiniClusterConfiguration.Builder()
                                .setConfiguration(configuration)
                                .setNumTaskManagers(taskManagers)
                                .setNumSlotsPerTaskManager(slotsOfEach)
                                .build());
        flink.start();
        rest = flink.getRestAddress().get();
    }

    /** The one for all tests, which ends with the JVM. */
    static synchronized Cluster running() throws Exception {
        if (running == null) {
            running = new Cluster(1, 2);
        }
        return running;
    }

    /** As a session of the SQL Gateway has it. */
    Configuration session() {
        Configuration configuration = new Configuration();
        configuration.set(DeploymentOptions.TARGET, "remote");
        configuration.set(RestOptions.ADDRESS, rest.getHost());
        configuration.set(RestOptions.PORT, rest.getPort());
        configuration.set(CoreOptions.DEFAULT_PARALLELISM, 1);
        return configuration;
    }

    int jobs() throws Exception {
        return flink.listJobs().get().size();
    }

    @Override
    public void close() throws Exception {
        flink.close();
    }
}
