package org.apache.iceberg.parquet;

import java.io.IOException;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.shaded.org.apache.parquet.ParquetReadOptions;
import org.apache.iceberg.shaded.org.apache.parquet.conf.ParquetConfiguration;
import org.apache.iceberg.shaded.org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.metadata.ParquetMetadata;

/** Opens Iceberg's files with Parquet's reader: Iceberg's adapter is package-private. */
public final class ParquetAccess {
    /** Hadoop's default configuration would be read from XML files for each file opened. */
    private static final ParquetConfiguration CONFIGURATION = new PlainParquetConfiguration();

    private ParquetAccess() {}

    public static ParquetMetadata footer(InputFile file) throws IOException {
        try (ParquetFileReader reader = reader(file)) {
            return reader.getFooter();
        }
    }

    public static ParquetFileReader reader(InputFile file) throws IOException {
        return ParquetFileReader.open(
                ParquetIO.file(file), ParquetReadOptions.builder(CONFIGURATION).build());
    }
}
