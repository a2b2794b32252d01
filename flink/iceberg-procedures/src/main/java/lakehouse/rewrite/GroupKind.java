package lakehouse.rewrite;

import org.apache.iceberg.ContentFile;
import org.apache.iceberg.actions.RewriteGroupBase;

import java.util.Collection;
import java.util.List;
import java.util.Map;

/**
 * What a rewrite does by the kind of file that it replaces.
 *
 * @param <G> a group, as Iceberg plans it
 * @param <F> a file
 */
interface GroupKind<G extends RewriteGroupBase<?, ?, F>, F extends ContentFile<F>> {
    /** Writes these groups again, the first of which has that index. */
    GroupOperator<?> operator(int first, List<G> groups);

    /** How many files the description of a group names. */
    int named(int index, G group);

    void written(G group, List<F> files);

    Collection<F> added(G group);

    /** Replaces the files of the groups by those written, in one commit with this summary. */
    void commit(Collection<G> groups, Map<String, String> summary);

    /** Describes what the files of a group hold, for messages. */
    String content(G group);
}
