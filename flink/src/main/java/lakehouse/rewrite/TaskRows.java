package lakehouse.rewrite;

import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.BaseCombinedScanTask;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.data.DeleteFilter;
import org.apache.iceberg.encryption.InputFilesDecryptor;
import org.apache.iceberg.flink.RowDataWrapper;
import org.apache.iceberg.flink.data.RowDataProjection;
import org.apache.iceberg.formats.FormatModelRegistry;
import org.apache.iceberg.formats.ReadBuilder;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.mapping.NameMappingParser;
import org.apache.iceberg.util.PartitionUtil;

/** The rows of one file that are not deleted, in the table's current schema. */
final class TaskRows extends DeleteFilter<RowData> {
    private final Table table;
    private final FileScanTask task;
    private final InputFilesDecryptor files;
    private final RowType type;
    private final RowDataWrapper wrapper;

    private TaskRows(Table table, FileScanTask task) {
        super(task.file().location(), task.deletes(), table.schema(), table.schema());
        this.table = table;
        this.task = task;
        this.files =
                new InputFilesDecryptor(
                        new BaseCombinedScanTask(task), table.io(), table.encryption());
        this.type = StoredRows.type(requiredSchema());
        this.wrapper = new RowDataWrapper(type, requiredSchema().asStruct());
    }

    /** Each row is only valid until the next one. */
    static CloseableIterable<RowData> of(Table table, FileScanTask task) {
        return new TaskRows(table, task).open();
    }

    private CloseableIterable<RowData> open() {
        FileFormat format = task.file().format();
        ReadBuilder<RowData, RowType> reader =
                FormatModelRegistry.readBuilder(
                        format, StoredRows.in(format), files.getInputFile(task));
        String names = table.properties().get(TableProperties.DEFAULT_NAME_MAPPING);
        if (names != null) {
            reader.withNameMapping(NameMappingParser.fromJson(names));
        }
        CloseableIterable<RowData> rows =
                filter(
                        reader.project(requiredSchema())
                                .idToConstant(
                                        PartitionUtil.constantsMap(task, StoredRows::constant))
                                .split(task.start(), task.length())
                                .reuseContainers()
                                .build());
        if (requiredSchema().sameSchema(table.schema())) {
            return rows;
        }
        // Without what only the deletes are looked up by.
        RowDataProjection projection =
                RowDataProjection.create(
                        type, requiredSchema().asStruct(), table.schema().asStruct());
        return CloseableIterable.transform(rows, projection::wrap);
    }

    @Override
    protected StructLike asStructLike(RowData row) {
        return wrapper.wrap(row);
    }

    @Override
    protected InputFile getInputFile(String location) {
        return files.getInputFile(location);
    }
}
