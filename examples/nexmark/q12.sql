-- q12, processing time windows: how many bids of each bidder in ten seconds of the clock, not of the events?

CREATE TABLE nexmark_q12 (
  bidder    BIGINT,
  bid_count BIGINT,
  starttime TIMESTAMP(3),
  endtime   TIMESTAMP(3)
) WITH ('connector' = 'print');

CREATE VIEW bid_read AS SELECT *, PROCTIME() AS read_at FROM bid;

INSERT INTO nexmark_q12
SELECT bidder, COUNT(*), window_start, window_end
FROM TABLE(TUMBLE(TABLE bid_read, DESCRIPTOR(read_at), INTERVAL '10' SECOND))
GROUP BY bidder, window_start, window_end;
