package org.apache.iceberg.parquet;

import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.metadata.ParquetMetadata;

import java.io.IOException;

/** Opens Iceberg's files with Parquet's reader: Iceberg keeps the adapter in its own package. */
public final class ParquetAccess {
    private ParquetAccess() {}

    public static ParquetMetadata footer(InputFile file) throws IOException {
        try (ParquetFileReader reader = reader(file)) {
            return reader.getFooter();
        }
    }

    public static ParquetFileReader reader(InputFile file) throws IOException {
        return ParquetFileReader.open(ParquetIO.file(file));
    }
}
