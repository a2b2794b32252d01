package lakehouse;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.SeekableInputStream;

/** A store that returns a different file from the one that was written. */
public class SwappingFileIO extends HadoopFileIO {
    private static final Set<String> WRITTEN = ConcurrentHashMap.newKeySet();

    /** The file to read instead of each data file written from now on; null to stop. */
    static volatile String other;

    /** Whether reading a data file back ends the task with an uncaught error. */
    static volatile boolean dies;

    @Override
    public OutputFile newOutputFile(String path) {
        if (dies && path.endsWith(".parquet")) {
            WRITTEN.add(name(path));
        }
        if (other != null && path.endsWith(".parquet")) {
            WRITTEN.add(name(path));
        }
        return super.newOutputFile(path);
    }

    @Override
    public InputFile newInputFile(String path) {
        return isSwapped(path) ? swapped(path) : super.newInputFile(path);
    }

    @Override
    public InputFile newInputFile(String path, long length) {
        return isSwapped(path) ? swapped(path) : super.newInputFile(path, length);
    }

    private InputFile swapped(String path) {
        if (dies) {
            throw new NoClassDefFoundError("gone");
        }
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

    private static boolean isSwapped(String path) {
        return (dies || other != null) && WRITTEN.contains(name(path));
    }

    /** Compares by suffix, because paths have several spellings. */
    private static String name(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }
}
