package lakehouse.imports;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.Metrics;
import org.apache.iceberg.MetricsConfig;
import org.apache.iceberg.PartitionData;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.io.FileInfo;
import org.apache.iceberg.mapping.MappedField;
import org.apache.iceberg.mapping.NameMapping;
import org.apache.iceberg.parquet.ParquetAccess;
import org.apache.iceberg.parquet.ParquetSchemaUtil;
import org.apache.iceberg.parquet.ParquetUtil;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.metadata.ParquetMetadata;
import org.apache.iceberg.shaded.org.apache.parquet.schema.MessageType;
import org.apache.iceberg.types.CheckCompatibility;
import org.apache.iceberg.types.TypeUtil;

/** Checks by its footer that a Parquet file fits the table's schema and partitioning. */
final class ParquetFiles {
    /** Exact bounds; the metrics that a table keeps may be truncated. */
    private static final MetricsConfig WHOLE =
            MetricsConfig.fromProperties(Map.of("write.metadata.metrics.default", "full"));

    private final Table table;
    private final NameMapping names;
    private final MetricsConfig metrics;

    /**
     * @param names name mapping for files without field IDs
     */
    ParquetFiles(Table table, NameMapping names) {
        this.table = table;
        this.names = names;
        this.metrics = MetricsConfig.forTable(table);
    }

    /**
     * @param ignoredColumns columns of the file that the table does not have
     */
    record Checked(DataFile file, Set<String> ignoredColumns) {}

    Checked check(FileInfo info, PartitionData partition) {
        String location = info.location();
        ParquetMetadata footer;
        try {
            footer = ParquetAccess.footer(table.io().newInputFile(location, info.size()));
        } catch (IOException | RuntimeException error) {
            throw refused(location, "cannot be read as a Parquet file: " + error, error);
        }
        MessageType stored = footer.getFileMetaData().getSchema();
        MessageType columns =
                ParquetSchemaUtil.hasIds(stored)
                        ? stored
                        : ParquetSchemaUtil.applyNameMapping(stored, names);
        Schema schema;
        try {
            schema = ParquetSchemaUtil.convertAndPrune(columns);
        } catch (RuntimeException error) {
            throw refused(
                    location,
                    "has a column of a type that Iceberg does not support: " + error.getMessage(),
                    error);
        }
        Metrics whole = metrics(footer, WHOLE);
        refuseOtherIds(location, schema);
        Set<String> ignored = ignored(location, columns);
        refuseOtherTypes(location, withoutNulls(schema, whole));
        refuseOtherPartition(location, schema, whole, partition);
        DataFile file =
                DataFiles.builder(table.spec())
                        .withPath(location)
                        .withFormat(FileFormat.PARQUET)
                        .withFileSizeInBytes(info.size())
                        .withPartition(partition)
                        .withMetrics(metrics(footer, metrics))
                        .withSplitOffsets(ParquetUtil.getSplitOffsets(footer))
                        .build();
        return new Checked(file, ignored);
    }

    private Metrics metrics(ParquetMetadata footer, MetricsConfig config) {
        return ParquetUtil.footerMetrics(footer, Stream.empty(), config, names);
    }

    /** If a file has field IDs, readers find columns by ID, not by name. */
    private void refuseOtherIds(String location, Schema schema) {
        TypeUtil.indexNameById(schema.asStruct())
                .forEach(
                        (id, name) -> {
                            String known = table.schema().findColumnName(id);
                            MappedField named = names.find(name);
                            if (known != null
                                    && !known.equals(name)
                                    && (named == null || !id.equals(named.id()))) {
                                throw refused(
                                        location,
                                        "was written for another table: its column "
                                                + name
                                                + " has field ID "
                                                + id
                                                + ", which is column "
                                                + known
                                                + " of this table. Next: write it without field"
                                                + " IDs",
                                        null);
                            }
                        });
    }

    /** Columns of the file that the table does not have, so that no reader sees them. */
    private Set<String> ignored(String location, MessageType columns) {
        Set<String> ignored =
                columns.getColumns().stream()
                        .filter(
                                column ->
                                        column.getPrimitiveType().getId() == null
                                                || table.schema()
                                                                .findField(
                                                                        column.getPrimitiveType()
                                                                                .getId()
                                                                                .intValue())
                                                        == null)
                        .map(column -> String.join(".", column.getPath()))
                        .collect(Collectors.toSet());
        for (String known : TypeUtil.indexNameById(table.schema().asStruct()).values()) {
            ignored.stream()
                    .filter(known::equalsIgnoreCase)
                    .findFirst()
                    .ifPresent(
                            name -> {
                                throw refused(
                                        location,
                                        "has a column "
                                                + name
                                                + " that would not be read as column "
                                                + known
                                                + ": their names differ in case, or the column is"
                                                + " missing from the table's name mapping"
                                                + " (schema.name-mapping.default) or from the"
                                                + " file's field IDs",
                                        null);
                            });
        }
        return ignored;
    }

    /** Most writers declare all columns optional; the footer shows which contain no nulls. */
    private static Schema withoutNulls(Schema schema, Metrics whole) {
        return new Schema(
                schema.columns().stream()
                        .map(
                                column ->
                                        Long.valueOf(0)
                                                        .equals(
                                                                whole.nullValueCounts()
                                                                        .get(column.fieldId()))
                                                ? column.asRequired()
                                                : column)
                        .toList());
    }

    private void refuseOtherTypes(String location, Schema schema) {
        // The folder gives this column's value; the file need not have the column.
        Set<Integer> left =
                table.spec().fields().stream()
                        .filter(field -> field.transform().isIdentity())
                        .map(PartitionField::sourceId)
                        .filter(column -> schema.findField(column) == null)
                        .collect(Collectors.toSet());
        List<String> errors =
                CheckCompatibility.readCompatibilityErrors(
                        TypeUtil.selectNot(table.schema(), left), schema);
        if (!errors.isEmpty()) {
            throw refused(
                    location,
                    "does not fit the table's columns: " + String.join("; ", errors),
                    null);
        }
    }

    /** Readers use the partition's value for each row instead of reading the column. */
    private void refuseOtherPartition(
            String location, Schema schema, Metrics whole, PartitionData partition) {
        List<PartitionField> fields = table.spec().fields();
        for (int i = 0; i < fields.size(); i++) {
            int column = fields.get(i).sourceId();
            if (fields.get(i).transform().isIdentity() && schema.findField(column) != null) {
                ColumnRange range = ColumnRange.of(table.schema().findType(column), column, whole);
                if (range.contradicts(partition.get(i))) {
                    throw refused(
                            location,
                            "has values of column "
                                    + table.schema().findColumnName(column)
                                    + " ("
                                    + range
                                    + ") that differ from its folder's",
                            null);
                }
            }
        }
    }

    private ValidationException refused(String location, String reason, Throwable cause) {
        return new ValidationException(
                "File "
                        + location
                        + " cannot be added to table "
                        + table.name()
                        + ": it "
                        + reason
                        + ". Nothing was added",
                cause);
    }
}
