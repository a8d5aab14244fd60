// node-postgres (pg, pg-cursor, pg-query-stream, pg-copy-streams), used as its users do.
const { Client, Pool, types } = require("pg");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");
const { from: copyFrom, to: copyTo } = require("pg-copy-streams");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const { step } = require("./story.js");

const dsn = process.argv[2];
const shape = (result) => ({
  command: result.command, count: result.rowCount, rows: result.rows,
  fields: result.fields.map((field) => [field.name, field.dataTypeID, field.format]),
});

async function queries(client) {
  await step("simple", async () => shape(await client.query("SELECT id, name, city FROM customers ORDER BY id")));
  await step("several in one text", async () =>
    (await client.query("SELECT count(*) FROM orders; SELECT 2 AS two; SELECT 'a' AS x WHERE false")).map(shape));
  await step("parameters", async () =>
    shape(await client.query("SELECT id, amount, placed_at, meta FROM orders WHERE qty = $1 AND status = ANY($2) ORDER BY id",
      [2, ["new", "paid"]])));
  await step("types", async () => shape(await client.query(
    "SELECT $1::jsonb AS j, $2::timestamptz AS t, $3::bytea AS b, $4::int[] AS a, $5::numeric AS n, $6::bool AS o, $7::text AS nothing",
    [{ a: [1, { b: null }] }, new Date(0), Buffer.from([0, 255]), [1, 2, null], "12.340", true, null])));
  for (let turn = 0; turn < 7; turn++) {
    await step(`named ${turn}`, async () =>
      shape(await client.query({ name: "by-id", text: "SELECT id, note FROM orders WHERE id = $1", values: [turn] })));
  }
  await step("a name with another text", async () =>
    client.query({ name: "by-id", text: "SELECT 1", values: [] }).catch((error) => ({ refused: error.message })));
  await step("rows as arrays", async () =>
    shape(await client.query({ text: "SELECT id, city FROM customers ORDER BY id LIMIT 2", rowMode: "array" })));
  await step("binary", async () =>
    shape(await client.query({ text: "SELECT id, qty FROM orders WHERE id < $1 ORDER BY id", values: [4], binary: true })));
  await step("a long list", async () => shape(await client.query(
    `SELECT id FROM orders WHERE id IN (${Array.from({ length: 300 }, (_, n) => `$${n + 1}`)}) ORDER BY id`,
    Array.from({ length: 300 }, (_, n) => n))));
}

async function errors(client) {
  await step("no such table", () => client.query("SELECT *\nFROM  no_such_table"));
  await step("no such column", () => client.query("SELECT nothing FROM orders WHERE id = $1", [1]));
  await step("a bad value", () => client.query("SELECT $1::int", ["x"]));
  await step("a duplicate key", () => client.query("INSERT INTO customers (id, name) VALUES ($1, $2)", [1, "again"]));
  await step("a null", () => client.query("INSERT INTO customers (id, name) VALUES ($1, $2)", [777, null]));
  await step("a reference to nothing", () => client.query("INSERT INTO orders (id, customer_id) VALUES (777, 4711)"));
  await step("a check", () => client.query("UPDATE orders SET amount = -1 WHERE id = 1"));
  await step("the session goes on", async () => shape(await client.query("SELECT 1 AS one")));
}

async function writes(client) {
  await client.query("BEGIN");
  await step("insert", async () => shape(await client.query(
    "INSERT INTO orders (id, customer_id, note, meta) VALUES ($1, $2, $3, $4) RETURNING id, version, meta", [900, 3, "n", { x: 1 }])));
  await step("upsert", async () => shape(await client.query(
    "INSERT INTO customers AS c (id, name) VALUES (1, 'N') ON CONFLICT (tenant_id, id) DO UPDATE SET name = c.name || excluded.name RETURNING name")));
  await step("update", async () => shape(await client.query("UPDATE orders SET qty = qty + $1 WHERE id > $2", [1, 15])));
  await step("savepoint", async () => {
    await client.query("SAVEPOINT a");
    await client.query("SELECT 1/0").catch(() => {});
    await client.query("ROLLBACK TO a");
    return shape(await client.query("SELECT count(*), sum(qty) FROM orders"));
  });
  await step("copy in", async () => {
    const stream = client.query(copyFrom("COPY customers (id, name, city) FROM STDIN"));
    await pipeline(Readable.from(Array.from({ length: 500 }, (_, n) => `${1000 + n}\tname ${n}\tOslo\n`)), stream);
    return stream.rowCount;
  });
  await step("copy out", async () => {
    const pieces = [];
    const stream = client.query(copyTo("COPY (SELECT id, name FROM customers ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"));
    for await (const piece of stream) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  });
  await step("delete", async () => shape(await client.query("DELETE FROM customers WHERE id >= 1000")));
  await client.query("ROLLBACK");
  await step("rolled back", async () => shape(await client.query("SELECT count(*), sum(qty) FROM orders")));
}

async function cursors(client) {
  await step("cursor", async () => {
    const cursor = client.query(new Cursor("SELECT id FROM orders WHERE id > $1 ORDER BY id", [2]));
    const read = [await cursor.read(3), await cursor.read(5), await cursor.read(100), await cursor.read(1)];
    await cursor.close();
    return read;
  });
  await step("a cursor closed early", async () => {
    const cursor = client.query(new Cursor("SELECT id FROM orders ORDER BY id"));
    const rows = await cursor.read(2);
    await cursor.close();
    return [rows, shape(await client.query("SELECT 1 AS after"))];
  });
  await step("stream", async () => {
    const ids = [];
    for await (const row of client.query(new QueryStream("SELECT id FROM generate_series(1, $1) id", [350], { batchSize: 100 }))) ids.push(row.id);
    return [ids.length, ids[349]];
  });
}

async function sessions(pool) {
  await step("settings of the session", async () => {
    const client = await pool.connect();
    try {
      await client.query("SET TimeZone TO 'Asia/Tokyo'");
      await client.query("SET statement_timeout TO 60000");
      await client.query("SELECT set_config('app.user', $1, false)", ["u1"]);
      const shown = await client.query("SELECT current_setting('TimeZone') AS zone, current_setting('app.user') AS who, '2024-01-01 00:00+00'::timestamptz::text AS t");
      await client.query("RESET ALL");
      return [shown.rows, (await client.query("SHOW statement_timeout")).rows];
    } finally {
      client.release();
    }
  });
  await step("many at once", async () => {
    const results = await Promise.all(Array.from({ length: 40 }, (_, n) =>
      pool.query("SELECT $1::int + count(*) AS n FROM orders", [n])));
    return results.map((result) => result.rows[0].n);
  });
  await step("notifications", async () => {
    const [listener, sender] = [await pool.connect(), await pool.connect()];
    try {
      const got = new Promise((resolve) => listener.once("notification", ({ channel, payload }) => resolve({ channel, payload })));
      await listener.query('LISTEN "Some Channel"');
      await sender.query("SELECT pg_notify($1, $2)", ["Some Channel", "hello"]);
      return await got;
    } finally {
      await listener.query("UNLISTEN *");
      listener.release();
      sender.release();
    }
  });
  await step("notices", async () => {
    const client = await pool.connect();
    try {
      const notices = [];
      client.on("notice", ({ message, severity }) => notices.push([severity, message]));
      await client.query("SELECT shout('hi')");
      await client.query("ROLLBACK");
      return notices;
    } finally {
      client.release();
    }
  });
  await step("a query that takes too long", async () => {
    const client = new Client({ connectionString: dsn, statement_timeout: 200, application_name: "node" });
    await client.connect();
    try {
      return await client.query("SELECT count(*) FROM generate_series(1, 1000000000)");
    } finally {
      await client.end();
    }
  });
}

async function main() {
  types.setTypeParser(1700, (text) => `numeric ${text}`);
  const client = new Client({ connectionString: dsn });
  await client.connect();
  for (const part of [queries, errors, writes, cursors]) await part(client);
  await client.end();
  const pool = new Pool({ connectionString: dsn, max: 5 });
  await sessions(pool);
  await pool.end();
  process.stdout.write(JSON.stringify({ done: true }) + "\n");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
