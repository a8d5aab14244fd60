-- statements whose answers show how a database is stored, planned and counted, in the format of legit.sql
-- Equal where nobody else's rows are in the same tables: in a schema and in a database of one's own.
-- @ P001 explain read ordered
EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id = 1;
-- @ P002 explain read ordered
EXPLAIN SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id AND c.tenant_id = o.tenant_id WHERE o.amount > 10;
-- @ P003 explain read ordered
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT count(*) FROM orders WHERE qty > 0;
-- @ P004 explain write ordered
EXPLAIN (FORMAT JSON, COSTS OFF) UPDATE orders SET amount = amount + 1 WHERE id = 1;
-- @ P005 explain read ordered
EXPLAIN (VERBOSE, COSTS OFF) SELECT kind, count(*) FROM events GROUP BY kind;
-- @ P006 explain txn ordered
PREPARE p_explained (int) AS SELECT id FROM orders WHERE id = $1;
EXPLAIN (COSTS OFF) EXECUTE p_explained(1);
DEALLOCATE p_explained;
-- @ P007 explain write ordered
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) DELETE FROM order_items WHERE line = 1;
-- @ P010 sequences read
SELECT nextval('invoice_no_seq');
-- @ P011 sequences txn
BEGIN;
SELECT nextval('accounts_id_seq');
SELECT currval('accounts_id_seq');
SELECT lastval();
ROLLBACK;
-- @ P012 sequences write
INSERT INTO accounts (owner, balance) VALUES ('first', 1), ('second', 2) RETURNING id;
-- @ P013 sequences txn
BEGIN;
SELECT setval('invoice_no_seq', 5000);
SELECT nextval('invoice_no_seq');
ROLLBACK;
SELECT nextval('invoice_no_seq');
-- @ P014 sequences read
SELECT last_value, is_called FROM invoice_no_seq;
-- @ P015 sequences read
SELECT pg_get_serial_sequence('accounts', 'id');
-- @ P016 sequences read ordered
SELECT sequencename, start_value, last_value FROM pg_sequences ORDER BY sequencename;
-- @ P017 sequences write
INSERT INTO audit_log (tbl, op) VALUES ('orders', 'I') RETURNING id;
-- @ P020 order read ordered
SELECT id FROM orders;
-- @ P021 order read ordered
SELECT ctid, id FROM orders;
-- @ P022 order txn ordered
BEGIN;
UPDATE orders SET amount = amount + 1 WHERE id = 1;
SELECT ctid, id FROM orders;
ROLLBACK;
-- @ P023 order read ordered
SELECT id FROM customers LIMIT 3;
-- @ P024 order copyout ordered
COPY orders (id, status) TO STDOUT;
-- @ P025 order txn ordered
BEGIN;
DECLARE c_order SCROLL CURSOR FOR SELECT id FROM orders;
FETCH 5 FROM c_order;
FETCH BACKWARD 2 FROM c_order;
ROLLBACK;
-- @ P026 order read
SELECT array_agg(id), string_agg(status::text, ',') FROM orders;
-- @ P027 order read ordered
SELECT id FROM orders TABLESAMPLE SYSTEM (100) REPEATABLE (1);
-- @ P028 order write ordered
UPDATE customers SET credit = credit + 1 RETURNING id;
-- @ P029 order txn ordered
BEGIN;
DELETE FROM bookings WHERE room = 1;
SELECT room, during FROM bookings;
ROLLBACK;
-- @ P030 order read
SELECT pg_relation_size('orders'), pg_relation_size('orders_placed_ix');
