package lakehouse.procedure;

import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.util.function.Supplier;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.PipelineOptionsInternal;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.streaming.api.environment.LocalStreamEnvironment;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.api.config.TableConfigOptions;
import org.apache.flink.table.procedure.ProcedureContext;

/** The session that calls a procedure: its configuration and its cluster. */
public final class Session {
    private Session() {}

    public static Configuration configuration(ProcedureContext context) {
        StreamExecutionEnvironment environment = context.getExecutionEnvironment();
        Configuration configuration = Configuration.fromMap(environment.getConfiguration().toMap());
        // Flink gives a procedure an environment that runs jobs in the calling process, even if the
        // session has a cluster: the SQL Gateway would do all the work itself.
        if (environment instanceof LocalStreamEnvironment
                && configuration.contains(RestOptions.ADDRESS)) {
            configuration.set(DeploymentOptions.TARGET, "remote");
        }
        return configuration;
    }

    /** An argument of type TIMESTAMP, which has no zone, in the session's time zone. */
    public static Instant instant(ProcedureContext context, LocalDateTime time) {
        String zone = configuration(context).get(TableConfigOptions.LOCAL_TIME_ZONE);
        boolean unset = zone.equals(TableConfigOptions.LOCAL_TIME_ZONE.defaultValue());
        return time == null
                ? null
                : time.atZone(unset ? ZoneId.systemDefault() : ZoneId.of(zone)).toInstant();
    }

    /**
     * An environment that runs bounded jobs on the session's cluster, without its settings for
     * streaming jobs.
     *
     * @param target the session's execution.target, which differs from that of the context
     */
    public static Supplier<StreamExecutionEnvironment> batch(
            ProcedureContext context, String target) {
        if (target == null || target.equals("local")) {
            throw new ValidationException(
                    "execution.target is "
                            + (target == null ? "not set" : "'" + target + "'")
                            + ", so the job would run within the calling process, such as the SQL"
                            + " Gateway. Next: SET 'execution.target' = 'remote'");
        }
        Configuration configuration = configuration(context);
        configuration.set(DeploymentOptions.TARGET, target);
        configuration.set(ExecutionOptions.RUNTIME_MODE, RuntimeExecutionMode.BATCH);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "disable");
        configuration.removeConfig(CheckpointingOptions.CHECKPOINTING_INTERVAL);
        configuration.removeConfig(StateRecoveryOptions.SAVEPOINT_PATH);
        configuration.removeConfig(PipelineOptions.NAME);
        configuration.removeConfig(PipelineOptionsInternal.PIPELINE_FIXED_JOB_ID);
        return () -> new StreamExecutionEnvironment(configuration);
    }
}
