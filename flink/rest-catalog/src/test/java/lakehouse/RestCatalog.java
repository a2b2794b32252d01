package lakehouse;

import java.net.InetSocketAddress;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;

/** Iceberg's REST catalog for a folder, on a free port of the loopback address. */
public final class RestCatalog {
    private RestCatalog() {}

    /**
     * Prints its address, and serves until standard input is closed.
     *
     * @param arguments the warehouse folder
     */
    public static void main(String[] arguments) throws Exception {
        Map<String, String> options =
                Map.of(
                        "catalog-impl",
                        "org.apache.iceberg.jdbc.JdbcCatalog",
                        "uri",
                        "jdbc:sqlite:" + arguments[0] + "/catalog.db",
                        "jdbc.schema-version",
                        "V1",
                        "warehouse",
                        "file://" + arguments[0] + "/warehouse");
        RESTCatalogAdapter adapter =
                new RESTCatalogAdapter(
                        CatalogUtil.buildIcebergCatalog("rest", options, new Configuration()));
        ServletContextHandler context = new ServletContextHandler("/");
        context.addServlet(new ServletHolder(new RESTCatalogServlet(adapter)), "/*");
        Server server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(context);
        server.start();
        System.out.println("http://127.0.0.1:" + server.getURI().getPort());
        System.in.transferTo(System.out);
        server.stop();
    }
}
