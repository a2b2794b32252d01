package lakehouse.io;

import java.io.File;
import lakehouse.table.FilePath;
import org.apache.iceberg.Files;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.PositionOutputStream;

/**
 * Files of a warehouse on the local disk. For each file that it writes, Hadoop starts a process to
 * set the permissions, and writes a second file with checksums; this class writes only the file.
 * Everything else is inherited from HadoopFileIO.
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
