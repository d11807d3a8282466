-- q9, winning bids: the highest bid on each auction while it was open; of equal ones the first.

CREATE TABLE nexmark_q9 (
  id             BIGINT,
  itemName       STRING,
  description    STRING,
  initialBid     BIGINT,
  reserve        BIGINT,
  `dateTime`     TIMESTAMP(3),
  expires        TIMESTAMP(3),
  seller         BIGINT,
  category       BIGINT,
  extra          STRING,
  auction        BIGINT,
  bidder         BIGINT,
  price          BIGINT,
  bid_dateTime   TIMESTAMP(3),
  bid_extra      STRING
) WITH ('connector' = 'print');

INSERT INTO nexmark_q9
SELECT id, itemName, description, initialBid, reserve, `dateTime`, expires, seller, category, extra,
       auction, bidder, price, bid_dateTime, bid_extra
FROM (
  SELECT a.*, b.auction, b.bidder, b.price, b.`dateTime` AS bid_dateTime, b.extra AS bid_extra,
         ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.`dateTime`) AS place
  FROM auction AS a
  JOIN bid AS b ON b.auction = a.id
  WHERE b.`dateTime` BETWEEN a.`dateTime` AND a.expires
)
WHERE place = 1;
