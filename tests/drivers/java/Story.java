// The JDBC driver (Debian: libpostgresql-jdbc-java), used as its users do: java -cp postgresql.jar Story.java URL USER PASSWORD
// Each step is told as one line, "name<TAB>answer"; the last line is "done".
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class Story {
  interface Does { Object run() throws Exception; }

  static String url, user, password;

  static Connection connect(String... settings) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", user);
    properties.setProperty("password", password);
    for (int at = 0; at < settings.length; at += 2) properties.setProperty(settings[at], settings[at + 1]);
    return DriverManager.getConnection(url, properties);
  }

  static void step(String name, Does does) throws Exception {
    String told;
    try {
      told = String.valueOf(does.run());
    } catch (BatchUpdateException error) {
      told = "batch " + Arrays.toString(error.getUpdateCounts()) + " " + told(error.getNextException());
    } catch (SQLException error) {
      told = told(error);
    }
    System.out.println(name + "\t" + told.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t"));
  }

  static String told(SQLException error) {
    ServerErrorMessage server = error instanceof PSQLException ? ((PSQLException) error).getServerErrorMessage() : null;
    if (server == null) return error.getSQLState() + " " + error.getMessage();
    return String.join("|", "error", server.getSQLState(), server.getMessage(), String.valueOf(server.getDetail()),
        String.valueOf(server.getHint()), String.valueOf(server.getPosition()), String.valueOf(server.getTable()),
        String.valueOf(server.getColumn()), String.valueOf(server.getConstraint()));
  }

  static String value(ResultSet rows, int column) throws SQLException {
    Object one = rows.getObject(column);
    if (one instanceof byte[]) return Arrays.toString((byte[]) one);
    if (one instanceof java.sql.Array) return Arrays.deepToString((Object[]) ((java.sql.Array) one).getArray());
    return String.valueOf(one);
  }

  // Every column but those that tell the database's own name, which differs on purpose.
  static String shape(ResultSet rows) throws SQLException {
    ResultSetMetaData meta = rows.getMetaData();
    StringBuilder found = new StringBuilder();
    for (int column = 1; column <= meta.getColumnCount(); column++)
      found.append(meta.getColumnLabel(column)).append(':').append(meta.getColumnTypeName(column)).append(' ');
    while (rows.next()) {
      found.append('(');
      for (int column = 1; column <= meta.getColumnCount(); column++) found.append(value(rows, column)).append(',');
      found.append(')');
    }
    rows.close();
    return found.toString();
  }

  static String query(Connection connection, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int at = 0; at < values.length; at++) statement.setObject(at + 1, values[at]);
      return shape(statement.executeQuery());
    }
  }

  static int update(Connection connection, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int at = 0; at < values.length; at++) statement.setObject(at + 1, values[at]);
      return statement.executeUpdate();
    }
  }

  static void queries(Connection c) throws Exception {
    step("statement", () -> { try (Statement s = c.createStatement()) { return shape(s.executeQuery("SELECT id, name, city FROM customers ORDER BY id")); } });
    step("several", () -> {
      StringBuilder found = new StringBuilder();
      try (Statement s = c.createStatement()) {
        boolean rows = s.execute("SELECT count(*) FROM orders; UPDATE orders SET qty = qty WHERE id < 4; SELECT 2 AS two");
        while (true) {
          if (rows) found.append(shape(s.getResultSet()));
          else if (s.getUpdateCount() == -1) return found;
          else found.append(s.getUpdateCount()).append(' ');
          rows = s.getMoreResults();
        }
      }
    });
    try (PreparedStatement s = c.prepareStatement("SELECT id, amount, placed_at, meta FROM orders WHERE qty = ? AND status = ?::order_status ORDER BY id")) {
      for (int turn = 0; turn < 8; turn++) { // past prepareThreshold, then binary
        int qty = turn % 4;
        step("prepared " + turn, () -> { s.setInt(1, qty); s.setString(2, "paid"); return shape(s.executeQuery()); });
      }
      step("parameter types", () -> s.getParameterMetaData().getParameterTypeName(1) + " " + s.getParameterMetaData().getParameterTypeName(2));
      step("columns", () -> {
        ResultSetMetaData meta = s.getMetaData();
        StringBuilder found = new StringBuilder();
        for (int n = 1; n <= meta.getColumnCount(); n++)
          found.append(meta.getColumnName(n)).append('/').append(meta.getTableName(n)).append('/').append(meta.getSchemaName(n)).append('/')
              .append(meta.isNullable(n)).append(meta.isAutoIncrement(n)).append(meta.getPrecision(n)).append(' ');
        return found;
      });
    }
    step("types", () -> query(c, "SELECT ?::jsonb, ?::timestamptz, ?::bytea, ?::numeric, ?::bool, ?::uuid, ?::text, ?::int[]",
        "{\"a\": 1}", new Timestamp(0), new byte[] {0, -1}, new BigDecimal("12.340"), true,
        UUID.fromString("00000000-0000-4000-8000-000000000001"), null, c.createArrayOf("int4", new Object[] {1, null, 3})));
    step("scrolling", () -> {
      try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY)) {
        ResultSet rows = s.executeQuery("SELECT id FROM orders ORDER BY id");
        rows.last();
        int last = rows.getRow();
        rows.absolute(3);
        return last + " " + rows.getInt(1);
      }
    });
  }

  static void errors(Connection c) throws Exception {
    step("no such table", () -> query(c, "SELECT *\nFROM no_such_table WHERE id = ?", 1));
    step("no such column", () -> query(c, "SELECT nothing FROM orders WHERE id = ?", 1));
    step("a bad value", () -> query(c, "SELECT ?::int", "x"));
    step("a duplicate key", () -> update(c, "INSERT INTO customers (id, name) VALUES (?, ?)", 1, "again"));
    step("a reference to nothing", () -> update(c, "INSERT INTO orders (id, customer_id) VALUES (777, 4711)"));
    step("a procedure", () -> { try (CallableStatement s = c.prepareCall("{call no_such_procedure(?)}")) { s.setInt(1, 1); return s.execute(); } });
    step("a function by escape", () -> { try (CallableStatement s = c.prepareCall("{? = call slugify(?)}")) {
      s.registerOutParameter(1, Types.VARCHAR); s.setString(2, "A b"); s.execute(); return s.getString(1); } });
    step("the session goes on", () -> query(c, "SELECT 1 AS one"));
  }

  static void writes(Connection c) throws Exception {
    c.setAutoCommit(false);
    step("generated keys", () -> {
      try (PreparedStatement s = c.prepareStatement("INSERT INTO orders (id, customer_id, note) VALUES (?, ?, ?)", new String[] {"id", "version"})) {
        s.setInt(1, 900); s.setInt(2, 3); s.setString(3, "n");
        return s.executeUpdate() + shape(s.getGeneratedKeys());
      }
    });
    step("all generated keys", () -> {
      try (PreparedStatement s = c.prepareStatement("INSERT INTO customers (id, name) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
        s.setInt(1, 900); s.setString(2, "n");
        return s.executeUpdate() + shape(s.getGeneratedKeys());
      }
    });
    step("batch", () -> {
      try (PreparedStatement s = c.prepareStatement("INSERT INTO customers (id, name) VALUES (?, ?)")) {
        for (int id = 1000; id < 1300; id++) { s.setInt(1, id); s.setString(2, "name " + id); s.addBatch(); }
        return Arrays.stream(s.executeBatch()).sum();
      }
    });
    step("fetch size", () -> {
      try (Statement s = c.createStatement()) {
        s.setFetchSize(64); // a portal that is read in pieces
        return shape(s.executeQuery("SELECT id FROM customers ORDER BY id"));
      }
    });
    step("savepoint", () -> {
      Savepoint savepoint = c.setSavepoint("Some Name");
      try { update(c, "UPDATE orders SET qty = 1/0"); } catch (SQLException expected) { c.rollback(savepoint); }
      c.releaseSavepoint(c.setSavepoint());
      return query(c, "SELECT count(*), sum(qty) FROM orders");
    });
    step("updatable rows", () -> {
      try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
        ResultSet rows = s.executeQuery("SELECT * FROM customers WHERE id = 1");
        rows.next();
        rows.updateString("name", "changed");
        rows.updateRow();
        rows.close();
        return query(c, "SELECT name FROM customers WHERE id = 1");
      }
    });
    step("copy", () -> {
      org.postgresql.copy.CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
      long in = copy.copyIn("COPY customers (id, name) FROM STDIN", new StringReader("2000\ta\n2001\tb\n"));
      StringWriter out = new StringWriter();
      return in + " " + copy.copyOut("COPY (SELECT id, name FROM customers WHERE id > 1990 ORDER BY id) TO STDOUT (FORMAT csv)", out) + " " + out;
    });
    step("bad copy", () -> c.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY customers (id, name) FROM STDIN", new StringReader("x\ta\n")));
    c.rollback();
    c.setAutoCommit(true);
    step("rolled back", () -> query(c, "SELECT count(*), sum(qty) FROM orders"));
    try (Connection own = connect("reWriteBatchedInserts", "true", "autosave", "always")) {
      own.setAutoCommit(false);
      step("rewritten batch", () -> {
        try (PreparedStatement s = own.prepareStatement("INSERT INTO customers (id, name) VALUES (?, ?)")) {
          for (int id = 1000; id < 1200; id++) { s.setInt(1, id); s.setString(2, "name " + id); s.addBatch(); }
          s.executeBatch();
        }
        return query(own, "SELECT count(*) FROM customers");
      });
      step("autosave", () -> {
        try { query(own, "SELECT 1/0"); } catch (SQLException expected) { return query(own, "SELECT count(*) FROM customers"); }
        return "no error";
      });
      step("a batch that fails", () -> {
        try (PreparedStatement s = own.prepareStatement("INSERT INTO customers (id, name) VALUES (?, ?)")) {
          for (int id : new int[] {3000, 1, 3001}) { s.setInt(1, id); s.setString(2, "x"); s.addBatch(); }
          return s.executeBatch();
        }
      });
      own.rollback();
    }
  }

  static void sessions(Connection c) throws Exception {
    step("isolation", () -> {
      c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      c.setReadOnly(true);
      c.setAutoCommit(false);
      String found = query(c, "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')");
      String refused = "";
      try { update(c, "UPDATE orders SET qty = 1"); } catch (SQLException error) { refused = told(error); }
      c.rollback();
      c.setAutoCommit(true);
      c.setReadOnly(false);
      c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
      return found + refused;
    });
    step("settings", () -> {
      update(c, "SET TimeZone TO 'Asia/Tokyo'");
      String found = query(c, "SELECT current_setting('TimeZone'), '2024-01-01 00:00+00'::timestamptz::text");
      update(c, "RESET TimeZone");
      return found;
    });
    step("names", () -> c.getCatalog().isEmpty() + " " + c.getSchema() + " " + c.isValid(5));
    step("client info", () -> { c.setClientInfo("ApplicationName", "story"); return query(c, "SHOW application_name"); });
    step("timeout", () -> { try (Statement s = c.createStatement()) { s.setQueryTimeout(1); return shape(s.executeQuery("SELECT count(*) FROM generate_series(1, 10000000000)")); } });
    step("notifications", () -> {
      try (Connection other = connect()) {
        update(c, "LISTEN jobs");
        query(other, "SELECT pg_notify('jobs', ?)", "work");
        PGNotification[] got = c.unwrap(PGConnection.class).getNotifications(10000);
        update(c, "UNLISTEN *");
        return got.length + " " + got[0].getName() + " " + got[0].getParameter();
      }
    });
    step("warnings", () -> { try (Statement s = c.createStatement()) { s.execute("SELECT shout('hi')"); return s.getWarnings().getMessage(); } });
    for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
      try (Connection own = connect("preferQueryMode", mode, "binaryTransfer", "true", "prepareThreshold", "1")) {
        step("mode " + mode, () -> {
          StringBuilder found = new StringBuilder();
          for (int turn = 0; turn < 4; turn++) found.append(query(own, "SELECT id, qty, note FROM orders WHERE id = ? AND note IS NOT DISTINCT FROM note", turn));
          return found;
        });
      }
    }
  }

  static void metadata(Connection c) throws Exception {
    DatabaseMetaData meta = c.getMetaData();
    step("tables", () -> shape(meta.getTables(null, "public", "%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW", "PARTITIONED TABLE", "SEQUENCE", "INDEX", "TYPE"})));
    step("every table", () -> shape(meta.getTables(null, null, "%", null)));
    step("columns", () -> shape(meta.getColumns(null, "public", "%", "%")));
    for (String table : new String[] {"orders", "customers", "order_items", "products", "Order Details", "tenants", "users", "notes"}) {
      step("primary key of " + table, () -> shape(meta.getPrimaryKeys(null, "public", table)));
      step("imported keys of " + table, () -> shape(meta.getImportedKeys(null, "public", table)));
      step("exported keys of " + table, () -> shape(meta.getExportedKeys(null, "public", table)));
      step("indexes of " + table, () -> shape(meta.getIndexInfo(null, "public", table, false, true)));
      step("best row of " + table, () -> shape(meta.getBestRowIdentifier(null, "public", table, DatabaseMetaData.bestRowSession, true)));
      step("version columns of " + table, () -> shape(meta.getVersionColumns(null, "public", table)));
      step("privileges of " + table, () -> shape(meta.getTablePrivileges(null, "public", table)));
      step("privileges of columns of " + table, () -> shape(meta.getColumnPrivileges(null, "public", table, "%")));
    }
    step("cross reference", () -> shape(meta.getCrossReference(null, "public", "customers", null, "public", "orders")));
    step("schemas", () -> shape(meta.getSchemas()));
    step("catalogs", () -> { ResultSet rows = meta.getCatalogs(); int n = 0; while (rows.next()) n++; return n; });
    step("table types", () -> shape(meta.getTableTypes()));
    step("types", () -> shape(meta.getTypeInfo()));
    step("own types", () -> shape(meta.getUDTs(null, "public", "%", null)));
    step("functions", () -> shape(meta.getFunctions(null, "public", "%")));
    step("function columns", () -> shape(meta.getFunctionColumns(null, "public", "%", "%")));
    step("procedures", () -> shape(meta.getProcedures(null, "public", "%")));
    step("procedure columns", () -> shape(meta.getProcedureColumns(null, "public", "%", "%")));
    step("client info", () -> shape(meta.getClientInfoProperties()));
    step("words", () -> meta.getSQLKeywords() + meta.getMaxColumnNameLength() + meta.getDefaultTransactionIsolation());
  }

  public static void main(String[] arguments) throws Exception {
    url = arguments[0];
    user = arguments[1];
    password = arguments[2];
    try (Connection c = connect()) {
      if (arguments[3].equals("metadata")) {
        metadata(c);
      } else {
        queries(c);
        errors(c);
        writes(c);
        sessions(c);
      }
    }
    System.out.println("done");
  }
}
