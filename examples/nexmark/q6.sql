-- q6, average selling price by seller: over each seller's last ten winning bids. The rows under OVER change with
-- every bid that wins, which Flink refuses (FLINK-19059).

CREATE TABLE nexmark_q6 (
  seller    BIGINT,
  avg_price BIGINT
) WITH ('connector' = 'print');

INSERT INTO nexmark_q6
SELECT seller, AVG(price) OVER (PARTITION BY seller ORDER BY `dateTime` ROWS BETWEEN 9 PRECEDING AND CURRENT ROW)
FROM (
  SELECT seller, price, `dateTime`
  FROM (
    SELECT a.id, a.seller, b.price, b.`dateTime`,
           ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.`dateTime`) AS place
    FROM auction AS a
    JOIN bid AS b ON b.auction = a.id
    WHERE b.`dateTime` BETWEEN a.`dateTime` AND a.expires
  )
  WHERE place = 1
);
