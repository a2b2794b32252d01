package lakehouse.rewrite;

import java.util.List;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.OutputTag;
import org.apache.iceberg.FileScanTask;

/** Receives numbers of files and emits their rows, and at the end a digest of all emitted rows. */
class RangeReader extends AbstractStreamOperator<RowData>
        implements OneInputStreamOperator<Long, RowData>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    private final FileGroup group;
    private final GroupFiles files;
    private final OutputTag<byte[]> progress;
    private transient RowDigest digest;

    RangeReader(FileGroup group, GroupFiles files, OutputTag<byte[]> progress) {
        this.group = group;
        this.files = files;
        this.progress = progress;
    }

    @Override
    public void open() throws Exception {
        super.open();
        digest = new RowDigest(files.rowType());
    }

    @Override
    public void processElement(StreamRecord<Long> element) throws Exception {
        FileScanTask task = group.tasks().get(element.getValue().intValue());
        StreamRecord<RowData> record = new StreamRecord<>(null);
        files.read(
                List.of(task),
                row -> {
                    digest.add(row);
                    output.collect(record.replace(row));
                });
    }

    @Override
    public void endInput() throws Exception {
        Progress read = new Progress.Read(group.index(), digest.value());
        output.collect(progress, new StreamRecord<>(read.toBytes()));
    }
}
