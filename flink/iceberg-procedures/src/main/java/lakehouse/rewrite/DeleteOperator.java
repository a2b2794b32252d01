package lakehouse.rewrite;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.BigIntType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.VarCharType;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableProperties;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.deletes.DeleteGranularity;
import org.apache.iceberg.deletes.Deletes;
import org.apache.iceberg.deletes.PositionDelete;
import org.apache.iceberg.deletes.PositionDeleteIndex;
import org.apache.iceberg.encryption.EncryptingFileIO;
import org.apache.iceberg.formats.FormatModelRegistry;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.ClusteredPositionDeleteWriter;
import org.apache.iceberg.io.DeleteSchemaUtil;
import org.apache.iceberg.io.OutputFileFactory;
import org.apache.iceberg.util.CharSequenceMap;

/**
 * Rewrites position deletes in order, without duplicates and dangling ones. The positions of a
 * group are kept in bitmaps, about one byte per position.
 */
class DeleteOperator extends GroupOperator<DeleteGroup> {
    private static final long serialVersionUID = 1L;

    private static final RowType ROW = RowType.of(VarCharType.STRING_TYPE, new BigIntType());

    private final Table table;
    private final String runId;

    DeleteOperator(List<DeleteGroup> groups, Table table, String runId, int attempt) {
        super(groups, attempt);
        this.table = table;
        this.runId = runId;
    }

    /** The format of the table's new delete files. */
    private FileFormat format() {
        String own = table.properties().get(TableProperties.DELETE_DEFAULT_FILE_FORMAT);
        return own == null ? GroupFiles.format(table) : FileFormat.fromString(own);
    }

    @Override
    Rewritten rewrite(DeleteGroup group, int attempt) throws IOException {
        OutputFileFactory files =
                OutputFileFactory.builderFor(table, group.index(), attempt)
                        .format(format())
                        .operationId(runId)
                        .suffix("deletes")
                        .build();
        ClusteredPositionDeleteWriter<RowData> writer =
                new ClusteredPositionDeleteWriter<>(
                        new RowWriters(table, table.schema(), format(), SortOrder.unsorted()),
                        files,
                        table.io(),
                        group.maxFileSize(),
                        DeleteGranularity.fromString(
                                table.properties()
                                        .getOrDefault(
                                                TableProperties.DELETE_GRANULARITY,
                                                TableProperties.DELETE_GRANULARITY_DEFAULT)));
        RowDigest before = new RowDigest(ROW);
        try (writer) {
            for (List<DeleteFile> one : bySpec(group.files())) {
                PartitionSpec spec = table.specs().get(one.get(0).specId());
                StructLike partition = one.get(0).partition();
                SortedMap<String, PositionDeleteIndex> live = live(one, group.dataFiles());
                digest(live, before);
                PositionDelete<RowData> delete = PositionDelete.create();
                live.forEach(
                        (path, positions) ->
                                positions.forEach(
                                        position ->
                                                writer.write(
                                                        delete.set(path, position, null),
                                                        spec,
                                                        partition)));
            }
        }
        List<DeleteFile> written = writer.result().deleteFiles();
        RowDigest after = new RowDigest(ROW);
        for (DeleteFile file : written) {
            SortedMap<String, PositionDeleteIndex> positions = new TreeMap<>();
            read(file).forEach((path, those) -> positions.put(path.toString(), those));
            digest(positions, after);
        }
        return new Rewritten(written, before.value(), after.value());
    }

    /** A group has one partition, even if its files have several specs. */
    private static Collection<List<DeleteFile>> bySpec(List<DeleteFile> files) {
        Map<Integer, List<DeleteFile>> specs = new TreeMap<>();
        files.forEach(
                file -> specs.computeIfAbsent(file.specId(), id -> new ArrayList<>()).add(file));
        return specs.values();
    }

    /** The deleted positions in existing data files, by path. */
    private SortedMap<String, PositionDeleteIndex> live(
            List<DeleteFile> files, Map<String, Long> dataFiles) throws IOException {
        SortedMap<String, PositionDeleteIndex> live = new TreeMap<>();
        for (DeleteFile file : files) {
            read(file)
                    .forEach(
                            (path, positions) -> {
                                Long since = dataFiles.get(path.toString());
                                if (since != null && since <= file.dataSequenceNumber()) {
                                    live.merge(path.toString(), positions, DeleteOperator::merged);
                                }
                            });
        }
        return live;
    }

    private static PositionDeleteIndex merged(PositionDeleteIndex one, PositionDeleteIndex other) {
        one.merge(other);
        return one;
    }

    private CharSequenceMap<PositionDeleteIndex> read(DeleteFile file) throws IOException {
        try (CloseableIterable<Record> deletes =
                FormatModelRegistry.readBuilder(
                                file.format(),
                                Record.class,
                                EncryptingFileIO.combine(table.io(), table.encryption())
                                        .newInputFile(file))
                        .project(DeleteSchemaUtil.pathPosSchema())
                        .reuseContainers()
                        .build()) {
            return Deletes.toPositionIndexes(deletes);
        }
    }

    private static void digest(SortedMap<String, PositionDeleteIndex> deletes, RowDigest digest) {
        GenericRowData row = new GenericRowData(ROW.getFieldCount());
        deletes.forEach(
                (path, positions) -> {
                    row.setField(0, StringData.fromString(path));
                    positions.forEach(
                            position -> {
                                row.setField(1, position);
                                digest.add(row);
                            });
                });
    }
}
