package lakehouse.eventtime;

import org.apache.flink.api.connector.source.SourceEvent;

/** Tells the reader that it has read everything that has been found in the table so far. */
class AllRead implements SourceEvent {
    private static final long serialVersionUID = 1L;
}
