package lakehouse.expiry;

import java.util.EnumMap;
import java.util.Map;
import java.util.function.Consumer;
import lakehouse.expiry.ExpiredFiles.ExpiredFile;
import lakehouse.expiry.ExpiredFiles.Kind;

/** Counts files by kind, and their total bytes. */
class FileCounts implements Consumer<ExpiredFile> {
    private final Map<Kind, Long> files = new EnumMap<>(Kind.class);
    private long bytes;

    @Override
    public synchronized void accept(ExpiredFile file) {
        files.merge(file.kind(), 1L, Long::sum);
        bytes += file.bytes();
    }

    long of(Kind kind) {
        return files.getOrDefault(kind, 0L);
    }

    long all() {
        return files.values().stream().mapToLong(Long::longValue).sum();
    }

    long bytes() {
        return bytes;
    }
}
