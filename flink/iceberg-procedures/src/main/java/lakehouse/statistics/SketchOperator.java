package lakehouse.statistics;

import java.util.List;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.CombinedScanTask;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.flink.source.DataIterator;
import org.apache.iceberg.flink.source.RowDataFileScanTaskReader;

/**
 * Receives indexes of scan tasks and reads their rows; at the end it emits one sketch per column
 * for all of them. So the number of sketches depends on the columns and subtasks of a job, not on
 * its files.
 */
class SketchOperator extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<Long, byte[]>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    private final Table table;
    private final Schema schema;
    private final Schema projection;
    private final List<Integer> columns;
    private final List<CombinedScanTask> tasks;
    private transient ColumnSketches sketches;

    /**
     * @param schema schema of the snapshot
     * @param columns IDs of the columns
     */
    SketchOperator(
            Table table,
            Schema schema,
            Schema projection,
            List<Integer> columns,
            List<CombinedScanTask> tasks) {
        this.table = table;
        this.schema = schema;
        this.projection = projection;
        this.columns = columns;
        this.tasks = tasks;
    }

    @Override
    public void open() throws Exception {
        super.open();
        sketches = new ColumnSketches(projection, columns);
    }

    @Override
    public void processElement(StreamRecord<Long> element) throws Exception {
        RowDataFileScanTaskReader reader =
                new RowDataFileScanTaskReader(
                        schema,
                        projection,
                        table.properties().get(TableProperties.DEFAULT_NAME_MAPPING),
                        true,
                        List.of());
        CombinedScanTask task = tasks.get(element.getValue().intValue());
        try (DataIterator<RowData> rows =
                new DataIterator<>(reader, task, table.io(), table.encryption())) {
            while (rows.hasNext()) {
                sketches.add(rows.next());
            }
        }
    }

    @Override
    public void endInput() throws Exception {
        for (int place = 0; place < columns.size(); place++) {
            output.collect(
                    new StreamRecord<>(new Sketch(place, sketches.toBytes(place)).toBytes()));
        }
    }
}
