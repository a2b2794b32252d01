package lakehouse.parquet;

import org.apache.iceberg.shaded.org.apache.parquet.VersionParser.ParsedVersion;
import org.apache.iceberg.shaded.org.apache.parquet.column.ColumnDescriptor;
import org.apache.iceberg.shaded.org.apache.parquet.column.ColumnReader;
import org.apache.iceberg.shaded.org.apache.parquet.column.ColumnWriteStore;
import org.apache.iceberg.shaded.org.apache.parquet.column.ColumnWriter;
import org.apache.iceberg.shaded.org.apache.parquet.column.Dictionary;
import org.apache.iceberg.shaded.org.apache.parquet.column.impl.ColumnReaderImpl;
import org.apache.iceberg.shaded.org.apache.parquet.column.page.PageReadStore;
import org.apache.iceberg.shaded.org.apache.parquet.io.api.Binary;
import org.apache.iceberg.shaded.org.apache.parquet.io.api.PrimitiveConverter;
import org.apache.iceberg.shaded.org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;

/**
 * Passes the values and levels of one column from row groups to a digest, and to a writer if there
 * is one.
 */
final class ColumnValues extends PrimitiveConverter {
    /** Marks in a digest that levels follow without a value. */
    private static final long NO_VALUE = 0x5851F42D4C957F2DL;

    private final ColumnDescriptor column;
    private final ColumnWriteStore store;
    private final ColumnWriter writer;
    private final Digest digest = new Digest();
    private final FloatMetrics metrics;
    private int repetition;
    private int definition;
    private Dictionary dictionary;
    private Binary[] binaries;
    private long[] digests;

    /** Only computes the digest. */
    ColumnValues(ColumnDescriptor column) {
        this(column, null, null);
    }

    /**
     * @param store page store of this column
     * @param metrics metrics of the column in the new file
     */
    ColumnValues(ColumnDescriptor column, ColumnWriteStore store, FloatMetrics metrics) {
        this.column = column;
        this.store = store;
        this.writer = store == null ? null : store.getColumnWriter(column);
        this.metrics = metrics;
    }

    /**
     * Processes all values of a row group.
     *
     * @param writtenBy the file's writer, so that the reader can work around its known bugs
     */
    void take(PageReadStore rowGroup, ParsedVersion writtenBy) {
        ColumnReader values =
                new ColumnReaderImpl(column, rowGroup.getPageReader(column), this, writtenBy);
        long count = values.getTotalValueCount();
        int whole = column.getMaxDefinitionLevel();
        for (long number = 0; number < count; number++) {
            repetition = values.getCurrentRepetitionLevel();
            definition = values.getCurrentDefinitionLevel();
            if (repetition == 0 && number > 0) {
                endRow();
            }
            if (repetition > 0 || definition < whole) {
                digest.add(NO_VALUE);
                digest.add((long) repetition << Integer.SIZE | definition);
            }
            if (definition == whole) {
                values.writeCurrentValueToConverter();
            } else if (writer != null) {
                metrics.addNull();
                writer.writeNull(repetition, definition);
            }
            values.consume();
        }
        endRow();
    }

    private void endRow() {
        if (store != null) {
            store.endRecord();
        }
    }

    /** Digest of all values so far. */
    long digest() {
        return digest.value();
    }

    @Override
    public boolean hasDictionarySupport() {
        return true;
    }

    @Override
    public void setDictionary(Dictionary dictionary) {
        this.dictionary = dictionary;
        PrimitiveTypeName type = column.getPrimitiveType().getPrimitiveTypeName();
        if (type == PrimitiveTypeName.BINARY || type == PrimitiveTypeName.FIXED_LEN_BYTE_ARRAY) {
            binaries = new Binary[dictionary.getMaxId() + 1];
            digests = new long[binaries.length];
            for (int id = 0; id < binaries.length; id++) {
                binaries[id] = dictionary.decodeToBinary(id);
                digests[id] = Digest.of(binaries[id]);
            }
        }
    }

    @Override
    public void addValueFromDictionary(int id) {
        switch (column.getPrimitiveType().getPrimitiveTypeName()) {
            case BINARY, FIXED_LEN_BYTE_ARRAY -> add(binaries[id], digests[id]);
            case INT32 -> addInt(dictionary.decodeToInt(id));
            case INT64 -> addLong(dictionary.decodeToLong(id));
            case FLOAT -> addFloat(dictionary.decodeToFloat(id));
            case DOUBLE -> addDouble(dictionary.decodeToDouble(id));
            default -> throw new IllegalStateException(column + " has a dictionary");
        }
    }

    @Override
    public void addBinary(Binary value) {
        add(value, Digest.of(value));
    }

    private void add(Binary value, long itsDigest) {
        digest.add(itsDigest);
        if (writer != null) {
            writer.write(value, repetition, definition);
        }
    }

    @Override
    public void addBoolean(boolean value) {
        digest.add(value ? 1 : 0);
        if (writer != null) {
            writer.write(value, repetition, definition);
        }
    }

    @Override
    public void addInt(int value) {
        digest.add(value);
        if (writer != null) {
            writer.write(value, repetition, definition);
        }
    }

    @Override
    public void addLong(long value) {
        digest.add(value);
        if (writer != null) {
            writer.write(value, repetition, definition);
        }
    }

    @Override
    public void addFloat(float value) {
        digest.add(Float.floatToRawIntBits(value));
        if (writer != null) {
            metrics.add(value);
            writer.write(value, repetition, definition);
        }
    }

    @Override
    public void addDouble(double value) {
        digest.add(Double.doubleToRawLongBits(value));
        if (writer != null) {
            metrics.add(value);
            writer.write(value, repetition, definition);
        }
    }
}
