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
 * What a rewrite does by the kind of file that it replaces.
 *
 * @param <G> a group, as Iceberg plans it
 * @param <F> a file
 */
interface GroupKind<G extends RewriteGroupBase<?, ?, F>, F extends ContentFile<F>> {
    /** Whether several tasks can share a group, which then has a job of its own. */
    boolean divisible(G group);

    /**
     * Adds to a job what writes groups again and reports it as {@link Progress}.
     *
     * @param groups by index
     */
    DataStream<byte[]> job(
            StreamExecutionEnvironment environment, JobPlan plan, SortedMap<Integer, G> groups)
            throws Exception;

    /** How many files the description of a group names. */
    int named(int index, G group);

    void written(G group, List<F> files);

    Collection<F> added(G group);

    /** Replaces the files of the groups by those written, in one commit with this summary. */
    void commit(Collection<G> groups, Map<String, String> summary);

    /** Describes what the files of a group hold, for messages. */
    String content(G group);
}
