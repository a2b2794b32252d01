package lakehouse.orphan;

import lakehouse.table.FilePath;
import org.apache.iceberg.aws.s3.S3FileIO;
import org.apache.iceberg.aws.s3.S3FileIOProperties;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.util.PropertyUtil;

/** Has S3 copy a file. Only this class needs those of AWS. */
final class S3Copy {
    /** What one request may copy. */
    private static final long LIMIT = 5L << 30;

    private S3Copy() {}

    /**
     * @return false where the file is too long for one request, or is to be encrypted by a key that
     *     only the store's own writer knows
     */
    static boolean copied(FileIO io, String source, long bytes, String target) {
        S3FileIO store = (S3FileIO) io;
        String encryption =
                PropertyUtil.propertyAsString(
                        store.properties(),
                        S3FileIOProperties.SSE_TYPE,
                        S3FileIOProperties.SSE_TYPE_NONE);
        if (bytes > LIMIT || !encryption.equals(S3FileIOProperties.SSE_TYPE_NONE)) {
            return false;
        }
        FilePath from = FilePath.of(source);
        FilePath to = FilePath.of(target);
        store.client(source)
                .copyObject(
                        request ->
                                request.sourceBucket(from.authority())
                                        .sourceKey(key(from))
                                        .destinationBucket(to.authority())
                                        .destinationKey(key(to)));
        return true;
    }

    private static String key(FilePath path) {
        return path.path().replaceFirst("^/", "");
    }
}
