// What tests/drivers/record.py records of postgres.js: node recorded_postgres_js.js DSN
const postgres = require("postgres");

async function main() {
  const sql = postgres(process.argv[2], { max: 1, fetch_types: false });
  for (const id of [1, 2, 3]) await sql`SELECT id, body FROM notes WHERE id = ${id}`;
  await Promise.all([sql`SELECT 1 AS a`, sql`SELECT nothing FROM notes`.catch(() => {}), sql`SELECT id FROM notes WHERE kind = ${1}`]);
  await sql.begin(async (tx) => {
    await tx`INSERT INTO notes ${tx([{ id: 401, body: "a" }, { id: 402, body: null }])}`;
    await tx.savepoint((sp) => sp`SELECT 1 / ${0}::int`).catch(() => {});
    await tx`DELETE FROM notes WHERE id > ${400}`;
  });
  for await (const rows of sql`SELECT id FROM notes ORDER BY id`.cursor(9)) rows.length;
  await sql.unsafe("SELECT 1; SELECT 2");
  await sql.end();
}

main();
