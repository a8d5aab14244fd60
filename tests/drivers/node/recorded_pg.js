// What tests/drivers/record.py records of node-postgres: node recorded_pg.js DSN
const { Client } = require("pg");
const Cursor = require("pg-cursor");

async function main() {
  const client = new Client({ connectionString: process.argv[2] });
  await client.connect();
  await client.query("SELECT id, body FROM notes WHERE id < 4");
  for (const id of [1, 2, 3]) await client.query("SELECT body, at FROM notes WHERE id = $1", [id]);
  for (const id of [1, 2, 3]) await client.query({ name: "by-id", text: "SELECT body FROM notes WHERE id = $1", values: [id] });
  await client.query("BEGIN");
  await client.query("UPDATE notes SET body = $1 WHERE id = $2 RETURNING id", ["node", 1]);
  await client.query("SELECT 1 / $1::int", [0]).catch(() => {});
  await client.query("ROLLBACK");
  const cursor = client.query(new Cursor("SELECT id FROM notes ORDER BY id"));
  await cursor.read(7);
  await cursor.read(5);
  await cursor.close();
  await client.query("SELECT nothing FROM notes").catch(() => {});
  await client.end();
}

main();
