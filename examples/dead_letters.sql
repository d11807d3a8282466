-- A topic with broken and late records: the good ones are counted, each of the others can be asked for.
-- Run it with `streamsql run examples/dead_letters.sql`; the broker is embedded, it ends by itself.

-- 1. What is in the topic is not always what was agreed: written here as plain text.
CREATE TABLE wire (record STRING) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'mock://',
  'topic' = 'readings',
  'format' = 'raw',
  'sink.topic.partitions' = '1'
);

INSERT INTO wire VALUES
  ('{"sensor": "attic",  "celsius": 21.5, "at": "2026-01-01 12:00:05"}'),
  ('{"sensor": "cellar", "celsius": "warm", "at": "2026-01-01 12:00:20"}'),
  ('{"sensor": "attic",  "celsius": 22.5, "at": "2026-01-01 12:00:40"}'),
  ('sensor=cellar celsius=11'),
  ('{"sensor": "cellar", "celsius": 11.0, "at": "2026-01-01 12:01:30"}'),
  ('{"sensor": "attic",  "celsius": 20.0, "at": "2026-01-01 12:00:50"}');

-- 2. The same topic, as it should be.
CREATE TABLE readings (
  sensor  STRING,
  celsius DOUBLE,
  `at`    TIMESTAMP(3),
  WATERMARK FOR `at` AS `at` - INTERVAL '10' SECOND
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'mock://',
  'topic' = 'readings',
  'format' = 'json',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset'
);

CREATE TABLE averages (sensor STRING, window_end TIMESTAMP(3), celsius DOUBLE) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'mock://',
  'topic' = 'averages',
  'format' = 'json',
  'sink.topic.partitions' = '1',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset'
);

CREATE TABLE dead_letters (`offset` BIGINT, reason STRING, record STRING) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'mock://',
  'topic' = 'dead-letters',
  'format' = 'json',
  'sink.topic.partitions' = '1',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset'
);

-- 3. One job: averages by minute, and a dead-letter topic with what is not in them.
EXECUTE STATEMENT SET BEGIN
  INSERT INTO averages
  SELECT sensor, window_end, AVG(celsius)
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(`at`), INTERVAL '1' MINUTE))
  GROUP BY window_start, window_end, sensor;

  INSERT INTO dead_letters
  SELECT `offset`, reason, CAST(`value` AS STRING) FROM `readings$errors`
  UNION ALL
  SELECT `offset`, reason, CAST(`value` AS STRING) FROM `readings$late`;
END;

-- 4. Look at both.
SELECT * FROM averages;
SELECT * FROM dead_letters;
