package lakehouse.protection;

import org.apache.flink.runtime.checkpoint.OperatorState;

final class OperatorNames {
    private OperatorNames() {}

    /** The operator's name in its job; empty in a state written by Flink 1. */
    static String of(OperatorState operator) {
        return operator.getOperatorName().orElse("");
    }
}
