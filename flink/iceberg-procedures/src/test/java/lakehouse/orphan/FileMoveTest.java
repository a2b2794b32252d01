package lakehouse.orphan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import lakehouse.io.LocalFileIO;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.aws.s3.S3FileIO;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileMoveTest {
    @TempDir Path folder;

    @Test
    void aLocalFileIsRenamed() throws Exception {
        for (HadoopFileIO store : List.of(new HadoopFileIO(new Configuration()), local())) {
            Path source = Files.writeString(folder.resolve("a #1"), "bytes");
            Path target = folder.resolve("below/" + store.getClass().getSimpleName());
            Object inode = Files.getAttribute(source, "unix:ino");
            FileMove.move(store, "file:" + source, 5, "file:" + target);
            assertThat(source).doesNotExist();
            assertThat(Files.getAttribute(target, "unix:ino")).isEqualTo(inode);
        }
    }

    private static LocalFileIO local() {
        LocalFileIO store = new LocalFileIO();
        store.setConf(new Configuration());
        return store;
    }

    @Test
    void noFileIsOverwritten() throws Exception {
        Path source = Files.writeString(folder.resolve("a"), "bytes");
        Path target = Files.writeString(folder.resolve("b"), "other");
        assertThatThrownBy(() -> FileMove.move(local(), "file:" + source, 5, "file:" + target))
                .hasMessageContaining("cannot be renamed");
        assertThat(source).hasContent("bytes");
        assertThat(target).hasContent("other");
    }

    /** The part of S3's API that moves a file. */
    private static final class Store implements AutoCloseable {
        final Map<String, Integer> lengths = new ConcurrentHashMap<>();
        final List<String> requests = new CopyOnWriteArrayList<>();
        final HttpServer server;

        Store() throws IOException {
            server =
                    HttpServer.create(
                            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
            server.createContext("/", this::answer);
            server.start();
        }

        private void answer(HttpExchange exchange) throws IOException {
            String path = exchange.getRequestURI().getPath();
            requests.add(exchange.getRequestMethod() + " " + path);
            String from = exchange.getRequestHeaders().getFirst("x-amz-copy-source");
            byte[] body = {};
            int status = 200;
            switch (exchange.getRequestMethod()) {
                case "PUT" -> {
                    String decoded = URLDecoder.decode(from, StandardCharsets.UTF_8);
                    lengths.put(path, lengths.get("/" + decoded.replaceFirst("^/", "")));
                    body = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>".getBytes();
                }
                case "HEAD" ->
                        exchange.getResponseHeaders()
                                .set("Content-Length", String.valueOf(lengths.get(path)));
                case "DELETE" -> {
                    lengths.remove(path);
                    status = 204;
                }
                default -> status = 405;
            }
            exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        }

        @Override
        public void close() {
            server.stop(0);
        }
    }

    @Test
    void s3CopiesOnTheServer() throws Exception {
        try (Store store = new Store();
                S3FileIO io = new S3FileIO()) {
            store.lengths.put("/lake/db/t/data/é x.parquet", 7);
            io.initialize(
                    Map.of(
                            "s3.endpoint",
                                    "http://127.0.0.1:" + store.server.getAddress().getPort(),
                            "s3.path-style-access", "true",
                            "s3.access-key-id", "key",
                            "s3.secret-access-key", "secret",
                            "client.region", "us-east-1"));
            FileMove.move(
                    io, "s3://lake/db/t/data/é x.parquet", 7, "s3://lake/_quarantine/é x.parquet");
            assertThat(store.lengths).containsOnlyKeys("/lake/_quarantine/é x.parquet");
            assertThat(store.requests).noneMatch(request -> request.startsWith("GET"));
        }
    }
}
