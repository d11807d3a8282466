-- q10, log to files: every bid, with its day and minute, into CSV files that appear whole and are at most a minute old.

CREATE TABLE nexmark_q10 (
  auction    BIGINT,
  bidder     BIGINT,
  price      BIGINT,
  `dateTime` TIMESTAMP(3),
  extra      STRING,
  dt         STRING,
  hm         STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '${output:-/tmp/nexmark/bids}',
  'format' = 'csv',
  'sink.rolling-policy.rollover-interval' = '1 min',
  'sink.rolling-policy.check-interval' = '1 min'
);

INSERT INTO nexmark_q10
SELECT auction, bidder, price, `dateTime`, extra,
       DATE_FORMAT(`dateTime`, 'yyyy-MM-dd'), DATE_FORMAT(`dateTime`, 'HH:mm')
FROM bid;
