-- q5, hot items: the auctions with the most bids in the last ten seconds, every two seconds.

CREATE TABLE nexmark_q5 (
  auction BIGINT,
  num     BIGINT
) WITH ('connector' = 'print');

INSERT INTO nexmark_q5
SELECT counts.auction, counts.num
FROM (
  SELECT auction, window_start, window_end, COUNT(*) AS num
  FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
  GROUP BY auction, window_start, window_end
) AS counts
JOIN (
  SELECT window_start, window_end, MAX(num) AS most
  FROM (
    SELECT window_start, window_end, COUNT(*) AS num
    FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
    GROUP BY auction, window_start, window_end
  )
  GROUP BY window_start, window_end
) AS hottest
ON counts.window_start = hottest.window_start
  AND counts.window_end = hottest.window_end
  AND counts.num >= hottest.most;
