-- Load after schema.sql, with the same PGOPTIONS. One tenant table whose columns have the types and collations on which isolation
-- rules have broken (H9, H11, H14, H15, H20 of isolation.md 2.5), views with columns that may throw or whose tenant column may be NULL,
-- and a LIST-partitioned table (H21). Tenant 2's rows hold values that throw in whatever touches them; tenants 1 and 3 have harmless ones.
SET client_min_messages = warning;
-- by name: since 16 the catalog has a collation of provider i in builds without ICU too
SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') AS icu \gset
\if :icu
CREATE COLLATION nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION de (provider = icu, locale = 'de');
\else
CREATE COLLATION nd FROM "POSIX";
CREATE COLLATION de FROM "POSIX";
\endif
CREATE TABLE odd (
  tenant_id int NOT NULL, id int NOT NULL, k text NOT NULL, body text, j json, jb jsonb, b bytea, bx box, ci circle,
  nd text COLLATE nd, c1 text COLLATE "C", c2 text COLLATE de, num numeric, dbl float8, big bigint, nr numrange, jarr json[], parr point[],
  loc point, ts timestamp, tsz timestamptz, d date, arr text[], ia int[], home addr, q posint, ok boolean DEFAULT true,
  PRIMARY KEY (tenant_id, id));
CREATE INDEX odd_loc ON odd USING gist (loc);
CREATE INDEX odd_nr ON odd USING gist (nr);
CREATE VIEW odd_loud AS SELECT tenant_id, id, k, body, (jb ->> 'n')::int AS n, pg_size_bytes(body) AS sz FROM odd;
CREATE VIEW odd_nullable AS SELECT o.tenant_id, c.tenant_id AS ct, c.name, c.email, o.id
  FROM customers c LEFT JOIN orders o ON o.tenant_id = c.tenant_id AND o.customer_id = c.id AND o.id < 3;
CREATE TABLE listed (tenant_id int NOT NULL, id int NOT NULL, note text, secret text, amount numeric) PARTITION BY LIST (tenant_id);
CREATE TABLE listed_1 PARTITION OF listed FOR VALUES IN (1);
CREATE TABLE listed_2 PARTITION OF listed FOR VALUES IN (2);
CREATE TABLE listed_3 PARTITION OF listed FOR VALUES IN (3);
INSERT INTO listed SELECT tenant_id, id, note, secret, amount FROM orders;
DO $$
DECLARE
  seed text := coalesce(current_setting('seed.only', true), '');
BEGIN
  FOR t IN 1..3 LOOP
    CONTINUE WHEN seed <> '' AND t <> seed::int;
    INSERT INTO odd
      SELECT t, g, (ARRAY['acme','globex','initech'])[t] || '-k-' || g, '10', '{"a":"b"}', '{"n":"1"}', 'zzz', '(0,0),(1,1)', '<(0,0),1>',
             'nd' || g, 'c' || g, 'd' || g, g, g, g, numrange(g, g + 1), '{}', '{}', point(g, g), '2024-01-01', '2024-01-01', '2024-01-01',
             '{a,b}', '{1,2}', ROW('s','c','z')::addr, 5
      FROM generate_series(1, 20) g;
  END LOOP;
  UPDATE odd SET body = 'note of globex', j = '{"a":"\u0000"}', jb = '{"n":"abc","d":"2020-01-01"}', b = 'abc' || E'\\134'::bytea || 'd',
      bx = '(1e200,1e200),(-1e200,-1e200)', ci = '<(0,0),1e200>', num = 1e400, big = -5, nr = numrange(1e400, 1e400 + 1),
      loc = point(-1e308, -1e308), arr = '{a,b,c}', ia = '{1,NULL}'
    WHERE tenant_id = 2;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON odd, listed TO app;
GRANT SELECT ON odd_loud, odd_nullable TO app;
ANALYZE odd, listed;
