package lakehouse.rewrite;

import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.BaseCombinedScanTask;
import org.apache.iceberg.BaseFileScanTask;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.PartitionSpecParser;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SchemaParser;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.ResidualEvaluator;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.RowDataWrapper;
import org.apache.iceberg.flink.sink.FlinkFileWriterFactory;
import org.apache.iceberg.flink.source.DataIterator;
import org.apache.iceberg.flink.source.RowDataFileScanTaskReader;
import org.apache.iceberg.io.FanoutDataWriter;
import org.apache.iceberg.io.OutputFileFactory;

import java.io.IOException;
import java.io.Serializable;
import java.util.Collections;
import java.util.List;
import java.util.function.Consumer;

/** Reads and writes the rows of a group, all in the table's current schema. */
class GroupFiles implements Serializable {
    private static final long serialVersionUID = 1L;

    private final Table table;
    private final SortOrder sortOrder;
    private final String runId;

    /**
     * @param sortOrder what the files shall say about the order of their rows
     * @param runId stands in the name of each file, so that the leftovers of a run can be found
     */
    GroupFiles(Table table, SortOrder sortOrder, String runId) {
        this.table = table;
        this.sortOrder = sortOrder;
        this.runId = runId;
    }

    RowType rowType() {
        return FlinkSchemaUtil.convert(table.schema());
    }

    /** Each row that is not deleted. The row given is only valid until the next one. */
    void read(List<FileScanTask> tasks, RowConsumer consumer) throws IOException {
        Schema schema = table.schema();
        RowDataFileScanTaskReader reader =
                new RowDataFileScanTaskReader(
                        schema,
                        schema,
                        table.properties().get(TableProperties.DEFAULT_NAME_MAPPING),
                        true,
                        Collections.emptyList());
        for (FileScanTask task : tasks) {
            try (DataIterator<RowData> rows =
                    new DataIterator<>(
                            reader,
                            new BaseCombinedScanTask(task),
                            table.io(),
                            table.encryption())) {
                while (rows.hasNext()) {
                    consumer.accept(rows.next());
                }
            }
        }
    }

    /** What the files just written hold, read from the store. */
    RowDigest.Value digest(List<DataFile> files) throws IOException {
        String schema = SchemaParser.toJson(table.schema());
        String spec = PartitionSpecParser.toJson(table.spec());
        ResidualEvaluator all = ResidualEvaluator.unpartitioned(Expressions.alwaysTrue());
        RowDigest digest = new RowDigest(rowType());
        for (DataFile file : files) {
            read(List.of(new BaseFileScanTask(file, null, schema, spec, all)), digest::add);
        }
        return digest.value();
    }

    /** Writes what the source gives. */
    List<DataFile> write(FileGroup group, int attempt, RowSource source) throws IOException {
        FileFormat format =
                FileFormat.fromString(
                        table.properties()
                                .getOrDefault(
                                        TableProperties.DEFAULT_FILE_FORMAT,
                                        TableProperties.DEFAULT_FILE_FORMAT_DEFAULT));
        FlinkFileWriterFactory writers =
                new FlinkFileWriterFactory.Builder(table)
                        .dataFileFormat(format)
                        .dataSchema(table.schema())
                        .dataFlinkType(rowType())
                        .dataSortOrder(sortOrder)
                        .writerProperties(table.properties())
                        .build();
        OutputFileFactory files =
                OutputFileFactory.builderFor(table, group.index(), attempt)
                        .format(format)
                        .defaultSpec(table.spec())
                        .operationId(runId)
                        .build();
        FanoutDataWriter<RowData> writer =
                new FanoutDataWriter<>(writers, files, table.io(), group.maxFileSize());
        try (writer) {
            Partitioner partitioner = partitioner(group);
            source.forEach(row -> writer.write(row, table.spec(), partitioner.of(row)));
        }
        return writer.result().dataFiles();
    }

    private Partitioner partitioner(FileGroup group) {
        if (group.partition() != null) {
            return row -> group.partition();
        }
        PartitionKey key = new PartitionKey(table.spec(), table.schema());
        RowDataWrapper wrapper = new RowDataWrapper(rowType(), table.schema().asStruct());
        return row -> {
            key.partition(wrapper.wrap(row));
            return key;
        };
    }

    interface RowConsumer {
        void accept(RowData row) throws IOException;
    }

    interface RowSource {
        void forEach(Consumer<RowData> consumer) throws IOException;
    }

    private interface Partitioner {
        StructLike of(RowData row);
    }
}
