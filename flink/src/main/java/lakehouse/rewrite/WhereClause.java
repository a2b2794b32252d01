package lakehouse.rewrite;

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
import org.apache.flink.table.expressions.ResolvedExpression;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.Factory;
import org.apache.iceberg.Table;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.flink.FlinkFilters;
import org.apache.iceberg.flink.FlinkSchemaUtil;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Turns a condition in Flink SQL into Iceberg's expression, by asking Flink's own planner: it is
 * given a table with the same columns and says what it would push down into its source.
 */
final class WhereClause {
    private WhereClause() {}

    static Expression parse(Table table, String where, Configuration session) {
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
                            + "' is no condition on the columns of table "
                            + table.name()
                            + ": "
                            + Errors.root(error),
                    error);
        }
        List<Expression> parts = new ArrayList<>();
        for (ResolvedExpression filter : source.filters) {
            parts.add(
                    FlinkFilters.convert(filter)
                            .orElseThrow(() -> unsupported(where, filter.asSummaryString())));
        }
        if (parts.isEmpty() || plan.contains("where=[")) {
            throw unsupported(where, where);
        }
        return parts.stream().reduce(Expressions.alwaysTrue(), Expressions::and);
    }

    private static ValidationException unsupported(String where, String part) {
        return new ValidationException(
                "where => '"
                        + where
                        + "': files cannot be chosen by "
                        + part
                        + "; compare columns with literals by =, <>, <, <=, >, >=, IN, BETWEEN, IS"
                        + " NULL or LIKE 'x%', with AND, OR and NOT");
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

    /** Notes down the filters that it is given, and is never read. */
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
