// What tests/drivers/record.py records of the JDBC driver: java -cp postgresql.jar Recorded.java URL USER PASSWORD
import java.sql.*;

public class Recorded {
  public static void main(String[] arguments) throws Exception {
    try (Connection c = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
      try (PreparedStatement s = c.prepareStatement("SELECT id, body, at FROM notes WHERE id = ?")) {
        for (int id = 0; id < 7; id++) { // past prepareThreshold, then binary
          s.setInt(1, id);
          s.executeQuery().close();
        }
      }
      c.setAutoCommit(false);
      try (PreparedStatement s = c.prepareStatement("INSERT INTO notes (id, body) VALUES (?, ?)")) {
        for (int id = 501; id < 505; id++) { s.setInt(1, id); s.setString(2, "batch"); s.addBatch(); }
        s.executeBatch();
      }
      Savepoint savepoint = c.setSavepoint();
      try (Statement s = c.createStatement()) { s.executeQuery("SELECT nothing FROM notes"); } catch (SQLException expected) { c.rollback(savepoint); }
      try (Statement s = c.createStatement()) {
        s.setFetchSize(8); // a portal that is read in pieces
        try (ResultSet rows = s.executeQuery("SELECT id FROM notes ORDER BY id")) { while (rows.next()) rows.getInt(1); }
      }
      c.rollback();
      c.setAutoCommit(true);
      try (Statement s = c.createStatement()) { s.execute("SELECT 1; SELECT 2"); }
    }
  }
}
