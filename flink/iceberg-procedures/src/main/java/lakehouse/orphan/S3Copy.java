package lakehouse.orphan;

import lakehouse.table.FilePath;
import org.apache.iceberg.aws.s3.S3FileIO;
import org.apache.iceberg.aws.s3.S3FileIOProperties;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.util.PropertyUtil;

/** Copies a file on the S3 server. Only this class needs the AWS classes. */
final class S3Copy {
    /** Size limit of one copy request, in bytes. */
    private static final long LIMIT = 5L << 30;

    private S3Copy() {}

    /**
     * @return false if the file is too large for one request, or must be encrypted with a key that
     *     only the FileIO's own writer knows
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
