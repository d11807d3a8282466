-- Orders of a small shop: made up, written to a Kafka topic, read back and counted in windows of two minutes.
-- Run it with `make demo` or `streamsql run examples/quickstart.sql`; it ends by itself.
-- The broker is embedded ('mock://'): nothing has to be installed or started.

-- 1. A source of made-up rows: 200 000 orders, one every 3 ms of event time from midnight of 2026-01-01.
CREATE TABLE made_up (
  order_id   BIGINT,
  product_id INT,
  quantity   INT,
  ordered_at AS TO_TIMESTAMP_LTZ(1767225600000 + 3 * order_id, 3)
) WITH (
  'connector' = 'datagen',
  'number-of-rows' = '200000',
  'rows-per-second' = '20000',
  'fields.order_id.kind' = 'sequence',
  'fields.order_id.start' = '0',
  'fields.order_id.end' = '199999',
  'fields.product_id.min' = '1',
  'fields.product_id.max' = '3',
  'fields.quantity.min' = '1',
  'fields.quantity.max' = '9'
);

-- 2. A Kafka topic as a table. The watermark says how long to wait for rows that come out of order.
CREATE TABLE orders (
  order_id   BIGINT,
  product    STRING,
  quantity   INT,
  ordered_at TIMESTAMP_LTZ(3),
  WATERMARK FOR ordered_at AS ordered_at - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'mock://',
  'properties.compression.type' = 'lz4',
  'topic' = 'orders',
  'format' = 'json',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset'
);

-- 3. Fill the topic. The script goes on when all rows are written.
INSERT INTO orders
SELECT
  order_id,
  CASE product_id WHEN 1 THEN 'coat' WHEN 2 THEN 'hat' ELSE 'shoes' END,
  quantity,
  ordered_at
FROM made_up;

-- 4. Ask: per two minutes and product, how many orders and how many pieces? A window's rows appear once,
--    when the watermark has passed its end; the last ones when the topic has been read.
SELECT
  window_start,
  window_end,
  product,
  COUNT(*)      AS orders,
  SUM(quantity) AS pieces
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '2' MINUTE))
GROUP BY window_start, window_end, product;
