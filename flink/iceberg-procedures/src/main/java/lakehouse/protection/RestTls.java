package lakehouse.protection;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.SecurityOptions;

/** TLS as configured for clients of Flink's REST API. */
final class RestTls {
    private RestTls() {}

    /**
     * With the session's truststore, and its certificate if mutual authentication is configured.
     */
    static SSLContext of(Configuration session) throws IOException {
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keys(session), trusted(session), null);
            return context;
        } catch (GeneralSecurityException error) {
            throw new IOException(
                    "security.ssl.rest.* cannot be used: " + error.getMessage(), error);
        }
    }

    private static KeyManager[] keys(Configuration session)
            throws IOException, GeneralSecurityException {
        if (!session.get(SecurityOptions.SSL_REST_AUTHENTICATION_ENABLED)) {
            return null;
        }
        KeyStore store =
                load(
                        session,
                        SecurityOptions.SSL_REST_KEYSTORE,
                        SecurityOptions.SSL_REST_KEYSTORE_TYPE,
                        SecurityOptions.SSL_REST_KEYSTORE_PASSWORD);
        var factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        factory.init(store, session.get(SecurityOptions.SSL_REST_KEY_PASSWORD).toCharArray());
        return factory.getKeyManagers();
    }

    private static TrustManager[] trusted(Configuration session)
            throws IOException, GeneralSecurityException {
        KeyStore store =
                load(
                        session,
                        SecurityOptions.SSL_REST_TRUSTSTORE,
                        SecurityOptions.SSL_REST_TRUSTSTORE_TYPE,
                        SecurityOptions.SSL_REST_TRUSTSTORE_PASSWORD);
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }

    private static KeyStore load(
            Configuration session,
            ConfigOption<String> file,
            ConfigOption<String> type,
            ConfigOption<String> password)
            throws IOException, GeneralSecurityException {
        KeyStore store = KeyStore.getInstance(session.get(type));
        try (InputStream stream = Files.newInputStream(Path.of(session.get(file)))) {
            store.load(stream, session.get(password).toCharArray());
        }
        return store;
    }
}
