-- Nexmark: an auction house as one stream of events, each of which is a new person, a new auction or a bid.
-- One Kafka topic of JSON; the variable `bootstrap` is the broker, without it the embedded one.

CREATE TABLE nexmark (
  event_type INT,  -- 0 a person, 1 an auction, 2 a bid; the other two columns are NULL
  person ROW<
    id           BIGINT,
    name         STRING,
    emailAddress STRING,
    creditCard   STRING,
    city         STRING,
    state        STRING,
    `dateTime`   TIMESTAMP(3),
    extra        STRING>,
  auction ROW<
    id           BIGINT,
    itemName     STRING,
    description  STRING,
    initialBid   BIGINT,
    reserve      BIGINT,
    `dateTime`   TIMESTAMP(3),
    expires      TIMESTAMP(3),
    seller       BIGINT,
    category     BIGINT,
    extra        STRING>,
  bid ROW<
    auction      BIGINT,
    bidder       BIGINT,
    price        BIGINT,
    channel      STRING,
    url          STRING,
    `dateTime`   TIMESTAMP(3),
    extra        STRING>,
  `dateTime` AS CASE event_type
    WHEN 0 THEN person.`dateTime`
    WHEN 1 THEN auction.`dateTime`
    ELSE bid.`dateTime`
  END,
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${bootstrap:-mock://}',
  'properties.group.id' = 'nexmark',
  'topic' = 'nexmark',
  'format' = 'json',
  'sink.partitioner' = 'round-robin',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset'
);

CREATE VIEW person AS
SELECT person.id, person.name, person.emailAddress, person.creditCard, person.city, person.state, `dateTime`,
       person.extra
FROM nexmark
WHERE event_type = 0;

CREATE VIEW auction AS
SELECT auction.id, auction.itemName, auction.description, auction.initialBid, auction.reserve, `dateTime`,
       auction.expires, auction.seller, auction.category, auction.extra
FROM nexmark
WHERE event_type = 1;

CREATE VIEW bid AS
SELECT bid.auction, bid.bidder, bid.price, bid.channel, bid.url, `dateTime`, bid.extra
FROM nexmark
WHERE event_type = 2;
