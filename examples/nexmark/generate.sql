-- Fill the topic of ddl.sql with made-up events: 50 000 unless the variable `events` says otherwise, 1000 for each
-- second of event time. The same seed gives the same events.

CREATE TABLE nexmark_source WITH (
  'connector' = 'nexmark',
  'events.num' = '${events:-50000}',
  'first-event.rate' = '${rate:-1000}',
  'start-time' = '2024-01-01 23:59:00',
  'seed' = '${seed:-0}'
) LIKE nexmark (EXCLUDING OPTIONS EXCLUDING GENERATED EXCLUDING WATERMARKS);

INSERT INTO nexmark
SELECT event_type, person, auction, bid FROM nexmark_source;
