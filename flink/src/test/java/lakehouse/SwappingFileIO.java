package lakehouse;

import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.SeekableInputStream;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** A store that gives back another file than the one that was written. */
public class SwappingFileIO extends HadoopFileIO {
    private static final Set<String> WRITTEN = ConcurrentHashMap.newKeySet();

    /** What is read instead of each data file written from now on; null ends it. */
    static volatile String other;

    @Override
    public OutputFile newOutputFile(String path) {
        if (other != null && path.endsWith(".parquet")) {
            WRITTEN.add(name(path));
        }
        return super.newOutputFile(path);
    }

    @Override
    public InputFile newInputFile(String path) {
        return WRITTEN.contains(name(path)) ? swapped(path) : super.newInputFile(path);
    }

    @Override
    public InputFile newInputFile(String path, long length) {
        return WRITTEN.contains(name(path)) ? swapped(path) : super.newInputFile(path, length);
    }

    private InputFile swapped(String path) {
        InputFile file = super.newInputFile(other);
        return new InputFile() {
            @Override
            public long getLength() {
                return file.getLength();
            }

            @Override
            public SeekableInputStream newStream() {
                return file.newStream();
            }

            @Override
            public String location() {
                return path;
            }

            @Override
            public boolean exists() {
                return true;
            }
        };
    }

    /** The rest of a path is spelled in several ways. */
    private static String name(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }
}
