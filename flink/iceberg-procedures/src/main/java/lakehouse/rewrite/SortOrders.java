package lakehouse.rewrite;

import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.table.api.ValidationException;
import org.apache.iceberg.NullOrder;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.Table;
import org.apache.iceberg.types.Types;

/** Parses {@code sort_order => 'a, b DESC NULLS LAST'}. */
final class SortOrders {
    private static final Pattern COLUMN =
            Pattern.compile(
                    "(?:`(?<quoted>[^`]+)`|(?<plain>[^\\s`,()]+))"
                            + "(?:\\s+(?<direction>ASC|DESC))?"
                            + "(?:\\s+NULLS\\s+(?<nulls>FIRST|LAST))?",
                    Pattern.CASE_INSENSITIVE);

    /** A comma with an even number of backticks after it. */
    private static final Pattern COMMA = Pattern.compile(",(?=(?:[^`]*`[^`]*`)*[^`]*$)");

    private static final Pattern ZORDER =
            Pattern.compile("\\s*zorder\\s*\\(.*", Pattern.CASE_INSENSITIVE | Pattern.DOTALL);

    private SortOrders() {}

    /** The order in the text, or else the table's own. */
    static SortOrder of(Table table, String text) {
        if (text != null) {
            return parse(table.schema(), text);
        }
        SortOrder order = table.sortOrder();
        if (order.isUnsorted()) {
            throw new ValidationException(
                    "strategy => 'sort' requires sort_order => 'column, ...', because table "
                            + table.name()
                            + " has no sort order");
        }
        order.fields().stream()
                .filter(field -> !field.transform().isIdentity())
                .findFirst()
                .ifPresent(
                        field -> {
                            throw new ValidationException(
                                    "The sort order of table "
                                            + table.name()
                                            + " has the transform "
                                            + field.transform()
                                            + ", which is not supported; set sort_order to"
                                            + " columns");
                        });
        order.fields()
                .forEach(
                        field ->
                                sortable(
                                        table.schema(),
                                        table.schema().findColumnName(field.sourceId())));
        return order;
    }

    private static SortOrder parse(Schema schema, String text) {
        if (ZORDER.matcher(text).matches()) {
            throw new ValidationException(
                    "sort_order => '"
                            + text
                            + "': Z-order is not supported. Next: name the columns that queries"
                            + " filter by, such as 'a, b DESC'");
        }
        SortOrder.Builder builder = SortOrder.builderFor(schema);
        for (String part : COMMA.split(text, -1)) {
            Matcher column = COLUMN.matcher(part.strip());
            if (!column.matches()) {
                throw new ValidationException(
                        "sort_order => '"
                                + text
                                + "': '"
                                + part.strip()
                                + "' is not of the form column [ASC|DESC] [NULLS FIRST|LAST]");
            }
            String quoted = column.group("quoted");
            String name = sortable(schema, quoted == null ? column.group("plain") : quoted);
            boolean descending = "DESC".equalsIgnoreCase(column.group("direction"));
            String nulls = column.group("nulls");
            boolean nullsFirst =
                    nulls == null ? !descending : nulls.toUpperCase(Locale.ROOT).equals("FIRST");
            NullOrder nullOrder = nullsFirst ? NullOrder.NULLS_FIRST : NullOrder.NULLS_LAST;
            if (descending) {
                builder.desc(name, nullOrder);
            } else {
                builder.asc(name, nullOrder);
            }
        }
        return builder.build();
    }

    private static String sortable(Schema schema, String name) {
        List<Types.NestedField> columns = schema.columns();
        Types.NestedField column =
                columns.stream()
                        .filter(c -> c.name().equals(name))
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        new ValidationException(
                                                "sort_order: there is no column "
                                                        + name
                                                        + "; the columns are "
                                                        + columns.stream()
                                                                .map(Types.NestedField::name)
                                                                .toList()));
        if (!column.type().isPrimitiveType()) {
            throw new ValidationException(
                    "sort_order: column "
                            + name
                            + " of type "
                            + column.type()
                            + " cannot be sorted by");
        }
        return name;
    }

    /** The columns of the order. */
    static Schema columns(Table table, SortOrder order) {
        return table.schema()
                .select(
                        order.fields().stream()
                                .map(field -> table.schema().findColumnName(field.sourceId()))
                                .toList());
    }

    /**
     * The table's sort order that equals this one, to record its ID for files; unsorted if the
     * table has none.
     */
    static SortOrder known(Table table, SortOrder order) {
        return table.sortOrders().values().stream()
                .filter(order::sameOrder)
                .findFirst()
                .orElse(SortOrder.unsorted());
    }
}
