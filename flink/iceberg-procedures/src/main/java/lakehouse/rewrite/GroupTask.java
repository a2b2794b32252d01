package lakehouse.rewrite;

import java.io.Serializable;

/** What one task does: it writes the files of a group again, which one commit replaces. */
interface GroupTask extends Serializable {
    int index();
}
