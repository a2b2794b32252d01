package lakehouse;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.StreamReadConstraints;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.functions.TableFunction;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.inference.CallContext;
import org.apache.flink.table.types.inference.InputTypeStrategies;
import org.apache.flink.table.types.inference.TypeInference;
import org.apache.flink.table.types.logical.LogicalTypeFamily;
import org.apache.flink.types.Row;

/**
 * JSON_OBJECT_FIELDS(payload, 'a', 'b', ...): exactly one row (reason, a, b, ...) of STRINGs for
 * any payload.
 *
 * <p>If the payload is exactly one JSON object in UTF-8, the reason is NULL and each field has its
 * original text: numbers digit by digit, structures as JSON. A field is NULL if it is null or
 * missing; of duplicate keys, the last value counts. Otherwise the reason says what the payload is
 * instead, and the fields are NULL.
 *
 * <p>Every check of whether an event is an object uses this function, so that all agree: Flink's
 * JSON format and IS JSON OBJECT disagree on byte order marks, UTF-16, invalid escapes and trailing
 * data.
 */
public class JsonObjectFields extends TableFunction<Row> {
    private static final long serialVersionUID = 1L;

    /**
     * No limits: Kafka's limit on the message size is enough, because time and memory depend on
     * nothing else.
     */
    private static final JsonFactory JSON =
            JsonFactory.builder()
                    .streamReadConstraints(
                            StreamReadConstraints.builder()
                                    .maxNestingDepth(Integer.MAX_VALUE)
                                    .maxNumberLength(Integer.MAX_VALUE)
                                    .maxStringLength(Integer.MAX_VALUE)
                                    .maxNameLength(Integer.MAX_VALUE)
                                    .build())
                    // Names of unknown fields must not fill the parser's symbol table, which all
                    // events share.
                    .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                    .build();

    private transient Map<String, Integer> positions;

    public void eval(byte[] payload, String... names) {
        if (positions == null) {
            positions = new HashMap<>();
            IntStream.range(0, names.length).forEach(i -> positions.put(names[i], i + 1));
        }
        Row row = new Row(names.length + 1);
        String reason = read(payload, row);
        if (reason != null) {
            row = new Row(names.length + 1);
            row.setField(0, reason);
        }
        collect(row);
    }

    /** Sets the fields and returns null, or returns the reason why there are none. */
    private String read(byte[] payload, Row row) {
        if (payload == null) {
            return "no value (tombstone)";
        }
        if (payload.length == 0) {
            return "empty value";
        }
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(payload)).toString();
        } catch (CharacterCodingException error) {
            return "not UTF-8";
        }
        boolean isObject;
        try (JsonParser json = JSON.createParser(text)) {
            JsonToken first = json.nextToken();
            if (first == null) {
                return "not JSON";
            }
            isObject = first == JsonToken.START_OBJECT;
            if (isObject) {
                readFields(json, text, row);
            } else {
                json.skipChildren();
                json.finishToken();
            }
            if (json.nextToken() != null) {
                return "not JSON";
            }
        } catch (CharacterCodingException error) {
            return "JSON, but with half a surrogate pair";
        } catch (IOException error) {
            return "not JSON";
        }
        return isObject ? null : "JSON, but not an object";
    }

    private void readFields(JsonParser json, String text, Row row) throws IOException {
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            Integer position = positions.get(json.currentName());
            JsonToken value = json.nextToken();
            if (position != null) {
                row.setField(
                        position,
                        value == JsonToken.VALUE_NULL ? null : encodable(asItCame(json, text)));
            }
            json.skipChildren();
            json.finishToken();
        }
    }

    private static String asItCame(JsonParser json, String text) throws IOException {
        if (!json.currentToken().isStructStart()) {
            return json.getText();
        }
        int start = (int) json.currentTokenLocation().getCharOffset();
        json.skipChildren();
        return text.substring(start, (int) json.currentTokenLocation().getCharOffset() + 1);
    }

    /** An escape can be an unpaired surrogate, which UTF-8 cannot represent. */
    private static String encodable(String text) throws CharacterCodingException {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) {
                StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
                break;
            }
        }
        return text;
    }

    @Override
    public TypeInference getTypeInference(DataTypeFactory factory) {
        return TypeInference.newBuilder()
                .inputTypeStrategy(
                        InputTypeStrategies.varyingSequence(
                                InputTypeStrategies.logical(LogicalTypeFamily.BINARY_STRING),
                                InputTypeStrategies.and(
                                        InputTypeStrategies.LITERAL,
                                        InputTypeStrategies.logical(
                                                LogicalTypeFamily.CHARACTER_STRING))))
                .outputTypeStrategy(call -> Optional.of(row(call)))
                .build();
    }

    private static DataType row(CallContext call) {
        Stream<String> names =
                IntStream.range(1, call.getArgumentDataTypes().size())
                        .mapToObj(i -> call.getArgumentValue(i, String.class).orElseThrow());
        return DataTypes.ROW(
                Stream.concat(Stream.of("reason"), names)
                        .map(name -> DataTypes.FIELD(name, DataTypes.STRING()))
                        .toArray(DataTypes.Field[]::new));
    }
}
