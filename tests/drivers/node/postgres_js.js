// postgres.js (npm: postgres), used as its users do. It prepares every statement under a name and pipelines.
const postgres = require("postgres");
const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const { step } = require("./story.js");

const dsn = process.argv[2];
const notices = [];
const sql = postgres(dsn, { max: 4, onnotice: ({ severity, message }) => notices.push([severity, message]) });
const shape = (rows) => ({
  command: rows.command, count: rows.count, rows: [...rows],
  columns: (rows.columns ?? []).map(({ name, type }) => [name, type]),
});

async function queries() {
  for (let turn = 0; turn < 3; turn++) {
    await step(`parameters ${turn}`, async () =>
      shape(await sql`SELECT id, amount, placed_at, meta FROM orders WHERE qty = ${turn} AND status IN ${sql(["new", "paid"])} ORDER BY id`));
  }
  await step("pieces", async () => {
    const city = (name) => sql`AND city = ${name}`;
    return shape(await sql`SELECT ${sql(["id", "name"])} FROM ${sql("customers")} WHERE id > ${0} ${city("Oslo")} ORDER BY id`);
  });
  await step("types", async () => shape(await sql`
    SELECT ${sql.json({ a: [1, { b: null }] })}::jsonb AS j, ${new Date(0)}::timestamptz AS t, ${Buffer.from([0, 255])}::bytea AS b,
           ${sql.array([1, 2, 3])}::int[] AS a, ${"12.340"}::numeric AS n, ${true}::bool AS o, ${null}::text AS nothing, ${9007199254740993n}::int8 AS big`));
  await step("simple, several in one text", async () =>
    (await sql.unsafe("SELECT count(*) FROM orders; SELECT 2 AS two")).map(shape));
  await step("unsafe with parameters", async () => shape(await sql.unsafe("SELECT id FROM orders WHERE id < $1 ORDER BY id", [4])));
  await step("values", async () => [...await sql`SELECT id, city FROM customers ORDER BY id LIMIT 2`.values()]);
  await step("described", async () => {
    const { types, columns } = await sql`SELECT id, note FROM orders WHERE id = ${1} AND note = ${"x"}`.describe();
    return { types, columns: columns.map(({ name, type }) => [name, type]) };
  });
  await step("a pipeline", async () =>
    (await Promise.all(Array.from({ length: 60 }, (_, n) => sql`SELECT ${n}::int + count(*) AS n FROM orders`))).map(([row]) => row.n));
  await step("a long list", async () => shape(await sql`SELECT id FROM orders WHERE id IN ${sql(Array.from({ length: 300 }, (_, n) => n))} ORDER BY id`));
}

async function errors() {
  await step("no such table", () => sql`SELECT * FROM no_such_table`);
  await step("no such column", () => sql`SELECT nothing FROM orders WHERE id = ${1}`);
  await step("a bad value", () => sql`SELECT ${"x"}::text::int`);
  await step("a duplicate key", () => sql`INSERT INTO customers ${sql({ id: 1, name: "again" })}`);
  await step("a reference to nothing", () => sql`INSERT INTO orders ${sql({ id: 777, customer_id: 4711 })}`);
  await step("in the middle of a pipeline", async () =>
    (await Promise.allSettled([sql`SELECT 1 AS a`, sql`SELECT 1/${0}::int`, sql`SELECT 3 AS c`])).map(({ status, value, reason }) =>
      status === "fulfilled" ? [...value] : reason.code));
}

async function writes() {
  await step("begin", () => sql.begin(async (tx) => {
    const told = [];
    told.push(shape(await tx`INSERT INTO orders ${tx([{ id: 900, customer_id: 3, note: "n" }, { id: 901, customer_id: 3, note: null }])} RETURNING id, version`));
    told.push(shape(await tx`UPDATE customers SET ${tx({ name: "N", city: "Bern" })} WHERE id = ${1}`));
    await tx.savepoint((sp) => sp`SELECT 1/${0}::int`).catch((error) => told.push(error.code));
    told.push(shape(await tx`SELECT count(*), sum(qty) FROM orders`));
    const into = await tx`COPY customers (id, name) FROM STDIN`.writable();
    await pipeline(Readable.from(Array.from({ length: 300 }, (_, n) => `${1000 + n}\tname ${n}\n`)), into);
    const pieces = [];
    for await (const piece of await tx`COPY (SELECT id, name FROM customers ORDER BY id) TO STDOUT`.readable()) pieces.push(piece);
    told.push(Buffer.concat(pieces).toString());
    const seen = [];
    await tx`SELECT id FROM customers ORDER BY id`.cursor(100, (rows) => { seen.push(rows.length); });
    told.push(seen);
    await tx`ROLLBACK`; // everything is undone; the library's own COMMIT then warns
    return told;
  }));
  await step("rolled back", async () => shape(await sql`SELECT count(*), sum(qty) FROM orders`));
  await step("a transaction that fails", () => sql.begin(async (tx) => {
    await tx`UPDATE orders SET qty = 0`;
    await tx`SELECT 1/${0}::int`;
  }));
  await step("nothing was written", async () => shape(await sql`SELECT sum(qty) FROM orders`));
}

async function sessions() {
  await step("cursor", async () => {
    const seen = [];
    for await (const rows of sql`SELECT id FROM orders ORDER BY id`.cursor(8)) seen.push(rows.map((row) => row.id));
    return seen;
  });
  await step("for each", async () => {
    const seen = [];
    await sql`SELECT id FROM orders ORDER BY id`.forEach((row) => { seen.push(row.id); });
    return seen;
  });
  await step("a reserved session", async () => {
    const own = await sql.reserve();
    try {
      await own`SET TimeZone TO 'Asia/Tokyo'`;
      await own`CREATE TEMP TABLE mine AS SELECT id FROM orders WHERE id < 3`;
      return [[...await own`SELECT current_setting('TimeZone') AS zone`], [...await own`SELECT id FROM mine ORDER BY id`]];
    } finally {
      await own`DISCARD ALL`.catch(() => {});
      own.release();
    }
  });
  await step("notifications", async () => {
    let told;
    const got = new Promise((resolve) => { told = resolve; });
    const { unlisten } = await sql.listen("Some Channel", told);
    await sql.notify("Some Channel", "hello");
    const payload = await got;
    await unlisten();
    return payload;
  });
  await step("cancelled", async () => {
    const query = sql`SELECT count(*) FROM generate_series(1, 1000000000)`;
    const outcome = query.then(() => "finished", (error) => error.code);
    await sql`SELECT pg_sleep(0.2)`; // the long one is on its way by then
    query.cancel();
    return outcome;
  });
  await step("notices", async () => {
    await sql`SELECT shout('hi')`;
    return notices.filter(([, message]) => message.startsWith("row:"));
  });
}

async function main() {
  for (const part of [queries, errors, writes, sessions]) await part();
  await sql.end();
  process.stdout.write(JSON.stringify({ done: true }) + "\n");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
