package org.apache.iceberg.parquet;

import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.metadata.ParquetMetadata;

import java.io.IOException;

/** Iceberg's own way from its files to Parquet's, which it keeps to its package. */
public final class Footers {
    private Footers() {}

    public static ParquetMetadata read(InputFile file) throws IOException {
        try (ParquetFileReader reader = ParquetFileReader.open(ParquetIO.file(file))) {
            return reader.getFooter();
        }
    }
}
