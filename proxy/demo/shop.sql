-- A small web shop that several companies share: every table with a tenant_id belongs to tenants, row by row.
-- Loaded by `partywall demo` into an empty database as its superuser. Nothing random: every run shows the same rows.
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE partywall_app LOGIN;

CREATE TYPE order_status AS ENUM ('new', 'paid', 'shipped', 'cancelled');

CREATE TABLE products (
  id int PRIMARY KEY, name text NOT NULL, category text NOT NULL, price numeric(10, 2) NOT NULL CHECK (price > 0));
CREATE TABLE customers (
  tenant_id int NOT NULL, id int NOT NULL, name text NOT NULL, email text NOT NULL, city text NOT NULL, credit_limit numeric(10, 2) NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, email));
CREATE TABLE orders (
  tenant_id int NOT NULL, id int NOT NULL, customer_id int NOT NULL, status order_status NOT NULL DEFAULT 'new', note text,
  placed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id));
CREATE TABLE order_lines (
  tenant_id int NOT NULL, order_id int NOT NULL, line int NOT NULL, product_id int NOT NULL REFERENCES products, quantity int NOT NULL CHECK (quantity > 0),
  price numeric(10, 2) NOT NULL, PRIMARY KEY (tenant_id, order_id, line),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders (tenant_id, id) ON DELETE CASCADE);
CREATE INDEX ON orders (tenant_id, placed_at);
CREATE TABLE payroll_secrets (id int PRIMARY KEY, what text NOT NULL);
COMMENT ON TABLE payroll_secrets IS 'has no tenant column and no rule: it does not exist for any tenant';

INSERT INTO products
SELECT g,
       (ARRAY['Oak', 'Steel', 'Walnut', 'Folding', 'Standing', 'Compact'])[1 + g % 6] || ' '
         || (ARRAY['desk', 'chair', 'lamp', 'shelf', 'cabinet'])[1 + g % 5],
       (ARRAY['desks', 'seating', 'lighting', 'storage', 'storage'])[1 + g % 5], 19.90 + (g * 37 % 400)
FROM generate_series(1, 60) g;

INSERT INTO customers (tenant_id, id, name, email, city, credit_limit, created_at)
SELECT t, g,
       (ARRAY['Ada', 'Bela', 'Chen', 'Dana', 'Emil', 'Fatou', 'Goran', 'Hana', 'Ivo', 'Jun'])[1 + (g + t) % 10] || ' '
         || (ARRAY['Lovell', 'Marsh', 'Novak', 'Okafor', 'Price', 'Quist', 'Reyes', 'Sato'])[1 + (g * 3 + t) % 8],
       'customer' || g || '@' || (ARRAY['acme', 'globex', 'initech'])[t] || '.example',
       (ARRAY['Oslo', 'Bern', 'Lyon', 'Graz', 'Porto'])[1 + g % 5], 500 * (1 + g % 7),
       timestamptz '2025-01-01 08:00+00' + g * interval '7 hours'
FROM generate_series(1, 200) g, generate_series(1, 3) t;

INSERT INTO orders (tenant_id, id, customer_id, status, note, placed_at)
SELECT t, g, 1 + (g * 7 + t) % 200, (ARRAY['new', 'paid', 'shipped', 'cancelled'])[1 + (g + t) % 4]::order_status,
       CASE WHEN g % 5 = 0 THEN 'note ' || g || ' of ' || (ARRAY['acme', 'globex', 'initech'])[t] END,
       timestamptz '2025-03-01 09:00+00' + g * interval '3 hours'
FROM generate_series(1, 2000) g, generate_series(1, 3) t
WHERE g <= 1000 * t - 200;

INSERT INTO order_lines (tenant_id, order_id, line, product_id, quantity, price)
SELECT o.tenant_id, o.id, l, 1 + (o.id * l) % 60, 1 + (o.id + l) % 4, p.price
FROM orders o CROSS JOIN generate_series(1, 3) l JOIN products p ON p.id = 1 + (o.id * l) % 60
WHERE l <= 1 + o.id % 3;

INSERT INTO payroll_secrets VALUES (1, 'nobody sees this');

ALTER TABLE products OWNER TO shop_owner;
ALTER TABLE customers OWNER TO shop_owner;
ALTER TABLE orders OWNER TO shop_owner;
ALTER TABLE order_lines OWNER TO shop_owner;
ALTER TABLE payroll_secrets OWNER TO shop_owner;
REVOKE ALL ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO partywall_app;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders, order_lines TO partywall_app;
GRANT SELECT ON products TO partywall_app;
ANALYZE;
