package lakehouse.rewrite;

import java.io.IOException;
import java.io.Serializable;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import lakehouse.parquet.FileMerge;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.BaseFileScanTask;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionSpecParser;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SchemaParser;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.ResidualEvaluator;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.ClusteredDataWriter;
import org.apache.iceberg.io.OutputFileFactory;

/** Reads and writes the rows of a group, with one schema. */
class GroupFiles implements Serializable {
    private static final long serialVersionUID = 1L;

    private final Table table;
    private final Schema schema;
    private final SortOrder sortOrder;
    private final String runId;

    /** Shared by all groups, because creating one reads Hadoop's configuration. */
    private transient FileMerge merge;

    /**
     * @param schema the table's schema, with or without row lineage
     * @param sortOrder sort order recorded for the files
     * @param runId part of each file's name, so that the leftovers of a run can be found
     */
    GroupFiles(Table table, Schema schema, SortOrder sortOrder, String runId) {
        this.table = table;
        this.schema = schema;
        this.sortOrder = sortOrder;
        this.runId = runId;
    }

    /** The format of the table's new files. */
    static FileFormat format(Table table) {
        return FileFormat.fromString(
                table.properties()
                        .getOrDefault(
                                TableProperties.DEFAULT_FILE_FORMAT,
                                TableProperties.DEFAULT_FILE_FORMAT_DEFAULT));
    }

    RowType rowType() {
        return StoredRows.type(schema);
    }

    RowPartition partition() {
        return new RowPartition(table);
    }

    /** Passes on each row that is not deleted. A row is only valid until the next one. */
    void read(List<FileScanTask> tasks, RowConsumer consumer) throws IOException {
        for (FileScanTask task : tasks) {
            try (CloseableIterable<RowData> rows = TaskRows.of(table, schema, task)) {
                for (RowData row : rows) {
                    consumer.accept(row);
                }
            }
        }
    }

    /** The digest of the files just written, read from the store. */
    RowDigest.Value digest(List<DataFile> files) throws IOException {
        String own = SchemaParser.toJson(table.schema());
        String spec = PartitionSpecParser.toJson(table.spec());
        ResidualEvaluator all = ResidualEvaluator.unpartitioned(Expressions.alwaysTrue());
        RowDigest digest = new RowDigest(rowType());
        for (DataFile file : files) {
            read(List.of(new BaseFileScanTask(file, null, own, spec, all)), digest::add);
        }
        return digest.value();
    }

    /**
     * Merges the files of a group without changing the order of rows.
     *
     * @param verify whether to read the new files and compare them
     * @return empty if the files must be rewritten row by row
     */
    Optional<GroupOperator.Rewritten> merge(FileGroup group, int attempt, boolean verify)
            throws IOException {
        boolean isWhole =
                group.tasks().stream()
                        .allMatch(
                                task ->
                                        task.deletes().isEmpty()
                                                && task.length() == task.file().fileSizeInBytes());
        if (group.scattered()
                || !isWhole
                || format(table) != FileFormat.PARQUET
                || !schema.sameSchema(table.schema())) {
            return Optional.empty();
        }
        if (merge == null) {
            merge = new FileMerge(table, sortOrder);
        }
        OutputFileFactory outputs = outputs(group, attempt);
        List<DataFile> files = group.tasks().stream().map(FileScanTask::file).toList();
        Optional<FileMerge.Merged> merged =
                merge.merge(
                        files,
                        group.partition(),
                        group.maxFileSize(),
                        () -> outputs.newOutputFile(table.spec(), group.partition()));
        if (merged.isEmpty()) {
            return Optional.empty();
        }
        FileMerge.Content before = merged.get().content();
        List<DataFile> written = merged.get().files();
        FileMerge.Content after = verify ? merge.content(written) : before;
        return Optional.of(new GroupOperator.Rewritten(written, digest(before), digest(after)));
    }

    private static RowDigest.Value digest(FileMerge.Content content) {
        return new RowDigest.Value(content.rows(), 0, content.digest());
    }

    private OutputFileFactory outputs(FileGroup group, int attempt) {
        return OutputFileFactory.builderFor(table, group.index(), attempt)
                .format(format(table))
                .defaultSpec(table.spec())
                .operationId(runId)
                .build();
    }

    /** Writes the rows of the source partition by partition, with one open file at a time. */
    List<DataFile> write(FileGroup group, int attempt, RowSource source) throws IOException {
        ClusteredDataWriter<RowData> writer =
                new ClusteredDataWriter<>(
                        new RowWriters(table, schema, format(table), sortOrder),
                        outputs(group, attempt),
                        table.io(),
                        group.maxFileSize());
        try (writer) {
            RowPartition partition = partition();
            source.forEach(
                    row ->
                            writer.write(
                                    row,
                                    table.spec(),
                                    group.scattered() ? partition.of(row) : group.partition()));
        }
        return writer.result().dataFiles();
    }

    interface RowConsumer {
        void accept(RowData row) throws IOException;
    }

    interface RowSource {
        void forEach(Consumer<RowData> consumer) throws IOException;
    }
}
