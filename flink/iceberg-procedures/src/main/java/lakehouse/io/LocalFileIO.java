package lakehouse.io;

import java.io.File;
import lakehouse.table.FilePath;
import org.apache.iceberg.Files;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.PositionOutputStream;

/**
 * Files of a warehouse on the local disk. Hadoop starts a process for each file that it writes, to
 * set its permissions, and writes a second one with checksums: this writes the file alone. All else
 * is Hadoop's.
 */
public final class LocalFileIO extends HadoopFileIO {
    @Override
    public OutputFile newOutputFile(String location) {
        File file = new File(FilePath.of(location).path());
        return new OutputFile() {
            @Override
            public PositionOutputStream create() {
                return Files.localOutput(file).create();
            }

            @Override
            public PositionOutputStream createOrOverwrite() {
                return Files.localOutput(file).createOrOverwrite();
            }

            @Override
            public String location() {
                return location;
            }

            @Override
            public InputFile toInputFile() {
                return newInputFile(location);
            }
        };
    }
}
