-- q13, bounded side input: every bid with what a file says of its auction. side_input.sql writes the file.

CREATE TABLE side_input (
  key     BIGINT,
  `value` STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '${side_input:-/tmp/nexmark/side_input}',
  'format' = 'csv'
);

CREATE TABLE nexmark_q13 (
  auction    BIGINT,
  bidder     BIGINT,
  price      BIGINT,
  `dateTime` TIMESTAMP(3),
  `value`    STRING
) WITH ('connector' = 'print');

INSERT INTO nexmark_q13
SELECT b.auction, b.bidder, b.price, b.`dateTime`, s.`value`
FROM (SELECT *, PROCTIME() AS read_at FROM bid) AS b
JOIN side_input FOR SYSTEM_TIME AS OF b.read_at AS s ON MOD(b.auction, 10000) = s.key;
