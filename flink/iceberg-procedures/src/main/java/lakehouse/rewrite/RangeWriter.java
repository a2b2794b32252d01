package lakehouse.rewrite;

import java.io.IOException;
import java.util.List;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.DataFile;

/** Sorts the rows of one range, writes them into new files, and reads these back. */
class RangeWriter extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<RowData, byte[]>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    private final FileGroup group;
    private final GroupFiles files;
    private final RowOrder order;
    private final boolean verify;
    private final int attempt;
    private transient RowSorter sorter;
    private transient RowDigest received;
    private transient boolean isEmpty;

    RangeWriter(FileGroup group, GroupFiles files, RowOrder order, boolean verify, int attempt) {
        this.group = group;
        this.files = files;
        this.order = order;
        this.verify = verify;
        this.attempt = attempt;
    }

    @Override
    public void open() throws Exception {
        super.open();
        sorter = new RowSorter(getContainingTask(), getOperatorConfig(), files.rowType(), order);
        received = new RowDigest(files.rowType());
        isEmpty = true;
    }

    @Override
    public void processElement(StreamRecord<RowData> element) throws Exception {
        isEmpty = false;
        if (!verify) {
            received.add(element.getValue());
        }
        sorter.add(element.getValue());
    }

    @Override
    public void endInput() throws Exception {
        if (isEmpty) {
            return;
        }
        int range = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
        int ranges = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        List<DataFile> written = files.write(group, attempt * ranges + range, sorter::forEach);
        for (DataFile file : written) {
            emit(new Progress.Written(group.index(), file));
        }
        RowDigest.Value value = verify ? files.digest(written) : received.value();
        emit(new Progress.Held(group.index(), value));
    }

    private void emit(Progress progress) throws IOException {
        output.collect(new StreamRecord<>(progress.toBytes()));
    }

    @Override
    public void close() throws Exception {
        if (sorter != null) {
            sorter.close();
        }
        super.close();
    }
}
