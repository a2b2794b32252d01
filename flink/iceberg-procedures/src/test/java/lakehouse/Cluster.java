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

/** A small Flink cluster, accessed by its REST address like a real one. */
final class Cluster implements AutoCloseable {
    private static Cluster running;

    final MiniCluster flink;
    final URI rest;

    Cluster(int taskManagers, int slotsOfEach) throws Exception {
        Configuration configuration = new Configuration();
        configuration.set(RestOptions.BIND_PORT, "0");
        // A lost TaskManager is detected within this time.
        configuration.set(HeartbeatManagerOptions.HEARTBEAT_INTERVAL, Duration.ofSeconds(1));
        configuration.set(HeartbeatManagerOptions.HEARTBEAT_TIMEOUT, Duration.ofSeconds(10));
        // How long a job waits for a slot.
        configuration.set(JobManagerOptions.SLOT_REQUEST_TIMEOUT, Duration.ofSeconds(10));
        // Small, so that tests exceed it with few rows.
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

    /** A cluster shared by all tests until the JVM ends. */
    static synchronized Cluster running() throws Exception {
        if (running == null) {
            running = new Cluster(1, 2);
        }
        return running;
    }

    /** The configuration of a session in the SQL Gateway. */
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
