package lakehouse;

import java.util.concurrent.CountDownLatch;
import java.util.function.Predicate;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;

/** A store that blocks threads which open certain files to read or write them. */
public class HoldingFileIO extends HadoopFileIO {
    private static volatile Predicate<String> held = path -> false;
    private static volatile CountDownLatch reached;

    /**
     * The number of next threads that open such a file and block until interrupted; others do not.
     */
    static CountDownLatch hold(int count, Predicate<String> files) {
        reached = new CountDownLatch(count);
        held = files;
        return reached;
    }

    @Override
    public OutputFile newOutputFile(String path) {
        waitIfHeld(path);
        return super.newOutputFile(path);
    }

    @Override
    public InputFile newInputFile(String path) {
        waitIfHeld(path);
        return super.newInputFile(path);
    }

    @Override
    public InputFile newInputFile(String path, long length) {
        waitIfHeld(path);
        return super.newInputFile(path, length);
    }

    private static void waitIfHeld(String path) {
        synchronized (HoldingFileIO.class) {
            if (reached == null || reached.getCount() == 0 || !held.test(path)) {
                return;
            }
            reached.countDown();
        }
        try {
            new CountDownLatch(1).await();
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(error);
        }
    }
}
