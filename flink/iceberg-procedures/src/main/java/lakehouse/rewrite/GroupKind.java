package lakehouse.rewrite;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.iceberg.ContentFile;
import org.apache.iceberg.actions.RewriteGroupBase;

/**
 * The part of a rewrite that depends on the kind of files.
 *
 * @param <G> Iceberg's plan of a group
 * @param <F> kind of file
 */
interface GroupKind<G extends RewriteGroupBase<?, ?, F>, F extends ContentFile<F>> {
    /** Whether several tasks can share a group, which then has its own job. */
    boolean divisible(G group);

    /**
     * Adds operators to a job that rewrite groups and report {@link Progress}.
     *
     * @param groups the groups by index
     */
    DataStream<byte[]> job(
            StreamExecutionEnvironment environment, JobPlan plan, SortedMap<Integer, G> groups)
            throws Exception;

    /** The number of files in a group's description. */
    int named(int index, G group);

    void written(G group, List<F> files);

    Collection<F> added(G group);

    /** Replaces the files of the groups by the written ones, in one commit with this summary. */
    void commit(Collection<G> groups, Map<String, String> summary);

    /** Describes the contents of a group's files, for messages. */
    String content(G group);
}
