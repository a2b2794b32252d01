package lakehouse.rewrite;

import java.io.Serializable;

/** The work of one task: rewriting the files of a group, which one commit replaces. */
interface GroupTask extends Serializable {
    int index();
}
