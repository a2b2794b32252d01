package lakehouse.rewrite;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.iceberg.ContentFile;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.actions.RewriteFileGroup;
import org.apache.iceberg.actions.RewriteGroupBase;

/** Counts of a rewrite, or of a dry run. */
public class RewriteResult {
    public int groups;
    public int failedGroups;
    public int conflicts;
    public long rewrittenFiles;
    public long addedFiles;
    public long rewrittenBytes;
    public long addedBytes;
    public long rewrittenRows;

    /** Reasons why groups failed, without duplicates. */
    public final List<String> reasons = new ArrayList<>();

    void replaced(
            RewriteGroupBase<?, ?, ?> group,
            Collection<? extends ContentFile<?>> added,
            long rows) {
        groups++;
        rewrittenFiles += group.inputFileNum();
        rewrittenBytes += group.inputFilesSizeInBytes();
        rewrittenRows += rows;
        addedFiles += added.size();
        addedBytes += added.stream().mapToLong(ContentFile::fileSizeInBytes).sum();
    }

    void planned(RewriteFileGroup group) {
        groups++;
        rewrittenFiles += group.inputFileNum();
        rewrittenBytes += group.inputFilesSizeInBytes();
        rewrittenRows += group.rewrittenFiles().stream().mapToLong(DataFile::recordCount).sum();
        addedFiles += group.expectedOutputFiles();
    }

    void failed(String reason) {
        failedGroups++;
        if (!reasons.contains(reason)) {
            reasons.add(reason);
        }
    }
}
