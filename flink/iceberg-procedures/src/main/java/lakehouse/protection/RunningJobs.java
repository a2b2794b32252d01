package lakehouse.protection;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.SecurityOptions;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

/** The unfinished jobs of the session's cluster, from Flink's REST API. */
class RunningJobs {
    private static final Set<String> ENDED = Set.of("FINISHED", "CANCELED", "FAILED");
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    /**
     * @param operators names of its operators
     */
    record Job(String id, String name, boolean streaming, List<String> operators) {}

    private final URI rest;
    private final HttpClient http;

    private RunningJobs(URI rest, HttpClient http) {
        this.rest = rest;
        this.http = http;
    }

    /** Empty if the session has no cluster. */
    static Optional<RunningJobs> of(Configuration session) throws IOException {
        Optional<String> host = session.getOptional(RestOptions.ADDRESS);
        if (host.isEmpty()) {
            return Optional.empty();
        }
        boolean tls = session.get(SecurityOptions.SSL_REST_ENABLED);
        HttpClient.Builder http = HttpClient.newBuilder().connectTimeout(PATIENCE);
        if (tls) {
            http.sslContext(RestTls.of(session));
        }
        String scheme = tls ? "https" : "http";
        int port = session.get(RestOptions.PORT);
        return Optional.of(
                new RunningJobs(
                        URI.create(scheme + "://" + host.get() + ":" + port), http.build()));
    }

    List<Job> list() throws IOException {
        List<Job> jobs = new ArrayList<>();
        for (JsonNode job : get("/jobs/overview").orElseThrow().get("jobs")) {
            String id = job.get("jid").asText();
            Optional<JsonNode> found =
                    ENDED.contains(job.get("state").asText())
                            ? Optional.empty()
                            : get("/jobs/" + id);
            if (found.isPresent()) {
                JsonNode details = found.get();
                List<String> operators = new ArrayList<>();
                details.get("vertices")
                        .forEach(vertex -> operators.add(vertex.get("name").asText()));
                boolean streaming = !"BATCH".equals(details.path("job-type").asText());
                jobs.add(new Job(id, job.get("name").asText(), streaming, operators));
            }
        }
        return jobs;
    }

    /** Empty if this does not exist, or no longer. */
    private Optional<JsonNode> get(String path) throws IOException {
        try {
            HttpRequest request =
                    HttpRequest.newBuilder(rest.resolve(path)).timeout(PATIENCE).build();
            HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() == 404) {
                return Optional.empty();
            }
            if (answer.statusCode() != 200) {
                throw new IOException("status " + answer.statusCode() + ": " + answer.body());
            }
            return Optional.of(new ObjectMapper().readTree(answer.body()));
        } catch (IOException error) {
            throw new IOException(
                    "Flink's REST API at " + rest + path + " does not answer (" + error + ")",
                    error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IOException(error);
        }
    }
}
