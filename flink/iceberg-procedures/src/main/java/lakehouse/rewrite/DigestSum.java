package lakehouse.rewrite;

import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * Adds up the digests of what the tasks of one group read and wrote, and reports the group as done.
 */
class DigestSum extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<byte[], byte[]>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    private final int group;
    private RowDigest.Value before = RowDigest.Value.NOTHING;
    private RowDigest.Value after = RowDigest.Value.NOTHING;

    DigestSum(int group) {
        this.group = group;
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) throws Exception {
        Progress progress = Progress.fromBytes(element.getValue());
        if (progress instanceof Progress.Read read) {
            before = before.plus(read.digest());
        } else if (progress instanceof Progress.Held held) {
            after = after.plus(held.digest());
        } else {
            output.collect(element);
        }
    }

    @Override
    public void endInput() throws Exception {
        output.collect(new StreamRecord<>(new Progress.Done(group, before, after).toBytes()));
    }
}
