package lakehouse.rewrite;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.iceberg.BaseCombinedScanTask;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.MetadataColumns;
import org.apache.iceberg.Schema;
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

/** The rows of one file that are not deleted, with the requested schema. */
final class TaskRows extends DeleteFilter<RowData> {
    /** First row ID for rows without a stored one: gives them IDs that do not exist. */
    private static final Long NOT_STORED = Long.MIN_VALUE;

    private final Table table;
    private final FileScanTask task;
    private final InputFilesDecryptor files;
    private final RowType type;
    private final RowDataWrapper wrapper;

    private TaskRows(Table table, Schema schema, FileScanTask task) {
        super(task.file().location(), task.deletes(), table.schema(), schema);
        this.table = table;
        this.task = task;
        this.files =
                new InputFilesDecryptor(
                        new BaseCombinedScanTask(task), table.io(), table.encryption());
        this.type = StoredRows.type(requiredSchema());
        this.wrapper = new RowDataWrapper(type, requiredSchema().asStruct());
    }

    /** A row is only valid until the next one. */
    static CloseableIterable<RowData> of(Table table, Schema schema, FileScanTask task) {
        return new TaskRows(table, schema, task).open();
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
                                .idToConstant(constants())
                                .split(task.start(), task.length())
                                .reuseContainers()
                                .build());
        if (requiredSchema().sameSchema(expectedSchema())) {
            return rows;
        }
        // Without the columns that are only needed to apply deletes.
        RowDataProjection projection =
                RowDataProjection.create(
                        type, requiredSchema().asStruct(), expectedSchema().asStruct());
        return CloseableIterable.transform(rows, projection::wrap);
    }

    private Map<Integer, ?> constants() {
        Map<Integer, Object> constants =
                new HashMap<>(PartitionUtil.constantsMap(task, StoredRows::constant));
        if (task.file().dataSequenceNumber() == null) {
            // Iceberg would ignore stored IDs, because the file is not committed.
            constants.put(MetadataColumns.ROW_ID.fieldId(), NOT_STORED);
            constants.put(MetadataColumns.LAST_UPDATED_SEQUENCE_NUMBER.fieldId(), NOT_STORED);
        }
        return constants;
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
