-- The side input of q13: ten thousand lines `n,n`. To be run once.

CREATE TABLE numbers (n BIGINT) WITH (
  'connector' = 'datagen',
  'rows-per-second' = '1000000',
  'fields.n.kind' = 'sequence',
  'fields.n.start' = '0',
  'fields.n.end' = '9999'
);

CREATE TABLE side_input_file (key BIGINT, `value` STRING) WITH (
  'connector' = 'filesystem',
  'path' = '${side_input:-/tmp/nexmark/side_input}',
  'format' = 'csv'
);

INSERT INTO side_input_file
SELECT n, CAST(n AS STRING) FROM numbers;
