package lakehouse.protection;

import org.apache.flink.runtime.checkpoint.OperatorState;

final class OperatorNames {
    private OperatorNames() {}

    /** The operator's name as its job gave it; empty in a state that Flink 1 wrote. */
    static String of(OperatorState operator) {
        return operator.getOperatorName().orElse("");
    }
}
