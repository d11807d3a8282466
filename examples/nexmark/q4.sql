-- q4, average price for a category: of the winning bids so far. An aggregate over an aggregate that changes.

CREATE TABLE nexmark_q4 (
  category  BIGINT,
  avg_price BIGINT
) WITH ('connector' = 'print');

INSERT INTO nexmark_q4
SELECT category, AVG(winning)
FROM (
  SELECT a.category, MAX(b.price) AS winning
  FROM auction AS a
  JOIN bid AS b ON b.auction = a.id
  WHERE b.`dateTime` BETWEEN a.`dateTime` AND a.expires
  GROUP BY a.id, a.category
)
GROUP BY category;
