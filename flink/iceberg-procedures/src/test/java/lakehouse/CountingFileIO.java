package lakehouse;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.PositionOutputStream;

/**
 * A store that counts the data files being written at the same time. Counting starts when the
 * OutputFile is created, because a Parquet writer keeps its first rows in memory and opens the file
 * later.
 */
public class CountingFileIO extends HadoopFileIO {
    private static final AtomicInteger OPEN = new AtomicInteger();

    /** The maximum number of files written at the same time. */
    static final AtomicInteger MOST = new AtomicInteger();

    @Override
    public OutputFile newOutputFile(String path) {
        OutputFile file = super.newOutputFile(path);
        if (!path.endsWith(".parquet")) {
            return file;
        }
        MOST.accumulateAndGet(OPEN.incrementAndGet(), Math::max);
        return new Counted(file);
    }

    private record Counted(OutputFile file) implements OutputFile {
        @Override
        public PositionOutputStream create() {
            return counted(file.create());
        }

        @Override
        public PositionOutputStream createOrOverwrite() {
            return counted(file.createOrOverwrite());
        }

        @Override
        public String location() {
            return file.location();
        }

        @Override
        public InputFile toInputFile() {
            return file.toInputFile();
        }

        private static PositionOutputStream counted(PositionOutputStream stream) {
            return new PositionOutputStream() {
                private boolean closed;

                @Override
                public long getPos() throws IOException {
                    return stream.getPos();
                }

                @Override
                public void write(int b) throws IOException {
                    stream.write(b);
                }

                @Override
                public void write(byte[] bytes, int offset, int length) throws IOException {
                    stream.write(bytes, offset, length);
                }

                @Override
                public void close() throws IOException {
                    if (!closed) {
                        closed = true;
                        OPEN.decrementAndGet();
                    }
                    stream.close();
                }
            };
        }
    }
}
