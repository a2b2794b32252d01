package lakehouse.rewrite;

import java.io.IOException;
import java.io.Serializable;
import org.apache.flink.util.InstantiationUtil;
import org.apache.iceberg.ContentFile;

/**
 * What tasks report to the procedure about a group; sent as bytes, so that no serializer for
 * Iceberg's classes is needed.
 */
sealed interface Progress extends Serializable {
    int group();

    /**
     * A file was written. Files are reported one by one, because Flink limits the size of a result.
     */
    record Written(int group, ContentFile<?> file) implements Progress {}

    /** All files were written. */
    record Done(int group, RowDigest.Value before, RowDigest.Value after) implements Progress {}

    /** One of several tasks has read its share of the group. */
    record Read(int group, RowDigest.Value digest) implements Progress {}

    /** The digest of the files written by one of several tasks. */
    record Held(int group, RowDigest.Value digest) implements Progress {}

    record Failed(int group, String reason) implements Progress {}

    default byte[] toBytes() throws IOException {
        return InstantiationUtil.serializeObject(this);
    }

    static Progress fromBytes(byte[] bytes) throws IOException, ClassNotFoundException {
        return InstantiationUtil.deserializeObject(bytes, Progress.class.getClassLoader());
    }
}
