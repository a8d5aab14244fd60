-- What people write into psql scripts; told through the proxy and on a private database, output and errors.
\set ON_ERROR_STOP off
\pset pager off
SELECT count(*) AS n, min(id) AS first FROM orders \gset
\echo :n :first
SELECT id, amount, note FROM orders WHERE id = :first;
\x on
SELECT * FROM customers WHERE id = 2;
\x off
SELECT id, amount::text, placed_at FROM orders LIMIT 0 \gdesc
SELECT format('SELECT %s AS made, count(*) FROM customers', n) FROM generate_series(1, 3) n \gexec
SELECT city, qty, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview
SELECT id FROM orders ORDER BY id LIMIT 3 \g (format=csv)
\if :n
\echo there are orders
\else
\echo there are none
\endif
SELECT nothing FROM orders;
\errverbose
SELECT 1 / 0;
\echo :ERROR :SQLSTATE :LAST_ERROR_MESSAGE :ROW_COUNT
SELECT *
  FROM orders o
  JOIN nowhere n ON n.id = o.id;
\set ON_ERROR_ROLLBACK on
BEGIN;
UPDATE customers SET city = 'Nowhere' WHERE id < 4;
SELECT 1 / 0;
SELECT count(*) FROM customers WHERE city = 'Nowhere';
ROLLBACK;
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT off
INSERT INTO customers (id, name) VALUES (901, 'one'), (902, 'two') RETURNING id, name;
\copy customers (id, name) FROM PSTDIN (FORMAT csv)
\copy (SELECT id, name FROM customers WHERE id > 900 ORDER BY id) TO STDOUT
DELETE FROM customers WHERE id = 902;
ROLLBACK;
\set AUTOCOMMIT on
\set FETCH_COUNT 7
SELECT id, qty FROM orders ORDER BY id;
\unset FETCH_COUNT
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM orders ORDER BY id;
FETCH 3 FROM c;
MOVE LAST IN c;
FETCH BACKWARD 2 FROM c;
CLOSE c;
COMMIT;
PREPARE by_id (int) AS SELECT id, qty FROM orders WHERE id = $1;
EXECUTE by_id(3);
EXECUTE by_id(:first + 1);
DEALLOCATE by_id;
EXECUTE by_id(3);
CREATE TEMP TABLE mine AS SELECT id, qty FROM orders WHERE id < 6;
SELECT sum(qty) FROM mine;
DROP TABLE mine;
SET TimeZone TO 'Asia/Tokyo';
SELECT timestamptz '2024-01-01 00:00+00';
RESET TimeZone;
SHOW TimeZone;
SELECT shout('hi');
LISTEN jobs;
NOTIFY jobs, 'work';
UNLISTEN *;
\encoding
SELECT 1 AS a\; SELECT 2 AS b\; SELECT count(*) FROM orders;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SHOW transaction_isolation;
UPDATE orders SET qty = 0;
END;
COPY orders (id) FROM PROGRAM 'true';
