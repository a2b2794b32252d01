package lakehouse.rewrite;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.BinaryOperator;
import org.apache.flink.api.common.io.GenericInputFormat;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.CatalogTable;
import org.apache.flink.table.catalog.GenericInMemoryCatalog;
import org.apache.flink.table.catalog.ObjectPath;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.InputFormatProvider;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.abilities.SupportsFilterPushDown;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.expressions.CallExpression;
import org.apache.flink.table.expressions.FieldReferenceExpression;
import org.apache.flink.table.expressions.NestedFieldReferenceExpression;
import org.apache.flink.table.expressions.ResolvedExpression;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.Factory;
import org.apache.flink.table.functions.BuiltInFunctionDefinitions;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.iceberg.Table;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.flink.FlinkFilters;
import org.apache.iceberg.flink.FlinkSchemaUtil;

/**
 * Converts a condition in Flink SQL to an Iceberg expression with Flink's own planner, which gets a
 * table with the same columns and pushes the condition down into its source.
 */
final class WhereClause {
    /** Flink's planner recurses for each OR: this is enough for some hundred thousand. */
    private static final long STACK_BYTES = 64L << 20;

    private WhereClause() {}

    static Expression parse(Table table, String where, Configuration session) {
        FutureTask<Expression> condition = new FutureTask<>(() -> planned(table, where, session));
        new Thread(null, condition, "where", STACK_BYTES).start();
        try {
            return condition.get();
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("Interrupted while reading where", error);
        } catch (ExecutionException error) {
            if (error.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            throw new ValidationException(
                    "where => a condition with "
                            + where.length()
                            + " characters, on which Flink's planner fails ("
                            + error.getCause()
                            + "). Next: rewrite fewer partitions at a time",
                    error);
        }
    }

    private static Expression planned(Table table, String where, Configuration session) {
        Source source = new Source();
        String plan;
        try {
            GenericInMemoryCatalog catalog =
                    new GenericInMemoryCatalog("conditions") {
                        @Override
                        public Optional<Factory> getFactory() {
                            return Optional.of(source);
                        }
                    };
            TableEnvironment environment =
                    TableEnvironment.create(
                            EnvironmentSettings.newInstance()
                                    .inBatchMode()
                                    .withConfiguration(session)
                                    .build());
            environment.registerCatalog("conditions", catalog);
            catalog.createTable(
                    new ObjectPath("default", "t"),
                    CatalogTable.newBuilder()
                            .schema(
                                    Schema.newBuilder()
                                            .fromResolvedSchema(
                                                    FlinkSchemaUtil.toResolvedSchema(
                                                            table.schema()))
                                            .build())
                            .build(),
                    false);
            plan =
                    environment.explainSql(
                            "SELECT * FROM conditions.`default`.t WHERE (" + where + "\n)");
        } catch (Exception error) {
            throw new ValidationException(
                    "where => '"
                            + where
                            + "' is not a valid condition on the columns of table "
                            + table.name()
                            + ": "
                            + Errors.root(error).lines().findFirst().orElse("")
                            + ". Next: fix it; quote names that are reserved words, such as date,"
                            + " with backticks",
                    error);
        }
        if (source.filters.isEmpty() || plan.contains("where=[")) {
            throw unsupported(where, where);
        }
        return balanced(
                source.filters.stream().map(filter -> convert(filter, where)).toList(),
                Expressions::and);
    }

    private static Expression convert(ResolvedExpression filter, String where) {
        if (filter instanceof CallExpression call) {
            FunctionDefinition function = call.getFunctionDefinition();
            if (function == BuiltInFunctionDefinitions.AND) {
                return balanced(operands(call, where), Expressions::and);
            }
            if (function == BuiltInFunctionDefinitions.OR) {
                return balanced(operands(call, where), Expressions::or);
            }
            if (function == BuiltInFunctionDefinitions.NOT) {
                return Expressions.not(convert(call.getResolvedChildren().get(0), where));
            }
            Optional<Expression> comparison = FlinkFilters.convert(withPaths(call));
            if (comparison.isPresent()) {
                return comparison.get();
            }
        }
        throw unsupported(where, filter.asSummaryString());
    }

    /** The operands of a chain of one function: {@code (a OR b) OR c} has three. */
    private static List<Expression> operands(CallExpression chain, String where) {
        List<Expression> operands = new ArrayList<>();
        Deque<ResolvedExpression> left = new ArrayDeque<>(List.of(chain));
        while (!left.isEmpty()) {
            ResolvedExpression next = left.pop();
            if (next instanceof CallExpression call
                    && call.getFunctionDefinition() == chain.getFunctionDefinition()) {
                call.getResolvedChildren().forEach(left::push);
            } else {
                operands.add(convert(next, where));
            }
        }
        return operands;
    }

    /**
     * A balanced tree, because Iceberg recurses into it for each file, in threads with small
     * stacks.
     */
    private static Expression balanced(
            List<Expression> parts, BinaryOperator<Expression> connection) {
        int half = parts.size() / 2;
        return half == 0
                ? parts.get(0)
                : connection.apply(
                        balanced(parts.subList(0, half), connection),
                        balanced(parts.subList(half, parts.size()), connection));
    }

    /** Nested fields with Iceberg's names, {@code column.field}. */
    private static CallExpression withPaths(CallExpression call) {
        return call.replaceArgs(
                call.getResolvedChildren().stream().map(WhereClause::withPath).toList(),
                call.getOutputDataType());
    }

    private static ResolvedExpression withPath(ResolvedExpression argument) {
        return argument instanceof NestedFieldReferenceExpression field
                ? new FieldReferenceExpression(
                        String.join(".", field.getFieldNames()), field.getOutputDataType(), 0, 0)
                : argument;
    }

    private static ValidationException unsupported(String where, String part) {
        return new ValidationException(
                "where => '"
                        + where
                        + "': files cannot be selected by "
                        + part
                        + "; compare columns with literals using =, <>, <, <=, >, >=, IN, BETWEEN,"
                        + " IS NULL or LIKE 'x%', with AND, OR and NOT");
    }

    /** No rows. */
    private static class Nothing extends GenericInputFormat<RowData> {
        private static final long serialVersionUID = 1L;

        @Override
        public boolean reachedEnd() {
            return true;
        }

        @Override
        public RowData nextRecord(RowData reuse) {
            return null;
        }
    }

    /** Records the filters that are pushed down; it is never read. */
    private static class Source
            implements DynamicTableSourceFactory, ScanTableSource, SupportsFilterPushDown {
        private List<ResolvedExpression> filters = List.of();

        @Override
        public Result applyFilters(List<ResolvedExpression> offered) {
            filters = offered;
            return Result.of(offered, List.of());
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
            return InputFormatProvider.of(new Nothing());
        }

        @Override
        public DynamicTableSource copy() {
            return this;
        }

        @Override
        public String asSummaryString() {
            return "conditions";
        }

        @Override
        public DynamicTableSource createDynamicTableSource(DynamicTableFactory.Context context) {
            return this;
        }

        @Override
        public String factoryIdentifier() {
            return "conditions";
        }

        @Override
        public Set<ConfigOption<?>> requiredOptions() {
            return Set.of();
        }

        @Override
        public Set<ConfigOption<?>> optionalOptions() {
            return Set.of();
        }
    }
}
