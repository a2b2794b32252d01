package lakehouse;

import java.util.concurrent.atomic.AtomicReference;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.OutputFile;

/** A store in which something else happens just when the first file is moved to quarantine. */
public class MeddledFileIO extends HadoopFileIO {
    static final AtomicReference<Runnable> MEANWHILE = new AtomicReference<>();

    @Override
    public OutputFile newOutputFile(String path) {
        if (path.contains("/_quarantine/")) {
            Runnable meanwhile = MEANWHILE.getAndSet(null);
            if (meanwhile != null) {
                meanwhile.run();
            }
        }
        return super.newOutputFile(path);
    }
}
