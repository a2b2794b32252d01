package org.apache.iceberg.parquet;

import java.io.IOException;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.shaded.org.apache.parquet.ParquetReadOptions;
import org.apache.iceberg.shaded.org.apache.parquet.conf.ParquetConfiguration;
import org.apache.iceberg.shaded.org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.iceberg.shaded.org.apache.parquet.hadoop.metadata.ParquetMetadata;

/** Opens Iceberg's files with Parquet's reader: Iceberg keeps the adapter in its own package. */
public final class ParquetAccess {
    /** Hadoop's own would be read from its XML files for each file that is opened. */
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
