package lakehouse.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.exceptions.AlreadyExistsException;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.util.SerializationUtil;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LocalFileIOTest {
    @TempDir Path folder;

    private final LocalFileIO io = new LocalFileIO();

    LocalFileIOTest() {
        io.setConf(new Configuration());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "file:", "file://"})
    void aFileIsWrittenWithoutAChecksumFileAndReadBack(String scheme) throws IOException {
        String location = scheme + folder + "/day=2024-01-01/a b%20c.parquet";
        OutputFile file = io.newOutputFile(location);
        assertThat(file.location()).isEqualTo(location);
        write(file.create(), "rows");
        try (Stream<Path> written = Files.list(folder.resolve("day=2024-01-01"))) {
            assertThat(written.map(Path::getFileName).map(Path::toString))
                    .containsExactly("a b%20c.parquet");
        }
        try (var stream = file.toInputFile().newStream()) {
            assertThat(stream.readAllBytes()).asString().isEqualTo("rows");
        }
        io.deleteFile(location);
        assertThat(io.newInputFile(location).exists()).isFalse();
    }

    @Test
    void anExistingFileIsOnlyReplacedOnRequest() throws IOException {
        OutputFile file = io.newOutputFile(folder + "/v1.metadata.json");
        write(file.create(), "first");
        assertThatThrownBy(file::create).isInstanceOf(AlreadyExistsException.class);
        write(file.createOrOverwrite(), "second");
        assertThat(folder.resolve("v1.metadata.json")).hasContent("second");
    }

    @Test
    void itIsSerializable() throws IOException {
        LocalFileIO copy =
                SerializationUtil.deserializeFromBytes(SerializationUtil.serializeToBytes(io));
        write(copy.newOutputFile(folder + "/x").create(), "rows");
        assertThat(folder.resolve("x")).hasContent("rows");
    }

    private static void write(OutputStream stream, String text) throws IOException {
        try (stream) {
            stream.write(text.getBytes());
        }
    }
}
