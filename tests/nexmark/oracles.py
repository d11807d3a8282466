"""What DuckDB says of all events at once: each query said again in plain SQL, by hand, over tables in memory.

Where the streaming query has a window function, the windows are spelled out with `time_bucket`; where
it divides whole numbers, `//`; where the order of arrival decides between equal rows, `n`.
"""

from __future__ import annotations

_COUNTS = """count(*), count(*) FILTER (price < 10000), count(*) FILTER (price >= 10000 AND price < 1000000),
  count(*) FILTER (price >= 1000000)"""
_DISTINCT = ", ".join(
    f"count(DISTINCT {column}) {condition}" for column in ("bidder", "auction")
    for condition in ("", "FILTER (price < 10000)", "FILTER (price BETWEEN 10000 AND 999999)",
                      "FILTER (price >= 1000000)"))
_DAY = "strftime(dateTime, '%Y-%m-%d')"
_IN_TIME = """FROM auction AS a JOIN bid AS b ON b.auction = a.id
  WHERE b.dateTime >= a.dateTime AND b.dateTime <= a.expires"""
_TEN = "time_bucket(INTERVAL '10 s', dateTime)"
_WINNERS = f"""SELECT a.*, b.auction, b.bidder, b.price, b.dateTime AS bid_dateTime, b.extra AS bid_extra {_IN_TIME}
  QUALIFY row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.dateTime, b.n) = 1"""
_BID = "auction, bidder, price, channel, url, dateTime, extra"

ORACLES = {
    "q0": "SELECT auction, bidder, price, dateTime, extra FROM bid",
    "q1": "SELECT auction, bidder, CAST(price * 0.908 AS DECIMAL(23, 3)), dateTime, extra FROM bid",
    "q2": "SELECT auction, price FROM bid WHERE auction % 123 = 0",
    "q3": """SELECT name, city, state, a.id FROM person AS p, auction AS a
        WHERE p.id = a.seller AND category = 10 AND (state = 'OR' OR state = 'ID' OR state = 'CA')""",
    "q4": f"""SELECT category, CAST(sum(winning) // count(*) AS BIGINT)
        FROM (SELECT a.id, a.category, max(b.price) AS winning {_IN_TIME} GROUP BY ALL) GROUP BY category""",
    "q5": """SELECT auction, num FROM (
          SELECT auction, time_bucket(INTERVAL '2 s', dateTime) - ago * INTERVAL '2 s' AS starts, count(*) AS num
          FROM bid, range(5) AS r(ago) GROUP BY ALL)
        QUALIFY num = max(num) OVER (PARTITION BY starts)""",
    "q6": f"""SELECT seller, CAST(sum(price) OVER last // count(*) OVER last AS BIGINT) FROM ({_WINNERS})
        WINDOW last AS (PARTITION BY seller ORDER BY bid_dateTime, id ROWS BETWEEN 9 PRECEDING AND CURRENT ROW)""",
    "q7": f"""SELECT auction, bidder, price, dateTime, extra FROM bid
        QUALIFY price = max(price) OVER (PARTITION BY {_TEN})""",
    "q8": f"""SELECT DISTINCT p.id, p.name, p.starts FROM (SELECT *, {_TEN} AS starts FROM person) AS p
        SEMI JOIN (SELECT *, {_TEN} AS starts FROM auction) AS a ON a.seller = p.id AND a.starts = p.starts""",
    "q9": f"""SELECT id, itemName, description, initialBid, reserve, dateTime, expires, seller, category, extra,
          auction, bidder, price, bid_dateTime, bid_extra FROM ({_WINNERS})""",
    "q10": f"SELECT auction, bidder, price, dateTime, extra, {_DAY}, strftime(dateTime, '%H:%M') FROM bid",
    "q11": """SELECT bidder, count(*), min(dateTime), max(dateTime) + INTERVAL '10 s' FROM (
          SELECT *, count(*) FILTER (begins) OVER (PARTITION BY bidder ORDER BY dateTime, n) AS session FROM (
            SELECT *, coalesce(dateTime - lag(dateTime) OVER (PARTITION BY bidder ORDER BY dateTime, n)
                               > INTERVAL '10 s', true) AS begins FROM bid))
        GROUP BY bidder, session""",
    "q12": """SELECT bidder, count(*), time_bucket(INTERVAL '10 s', read_at), time_bucket(INTERVAL '10 s', read_at)
          + INTERVAL '10 s' FROM bid JOIN batches ON n >= first AND n < until GROUP BY ALL""",
    "q13": "SELECT auction, bidder, price, dateTime, CAST(auction % 10000 AS VARCHAR) FROM bid",
    "q14": """SELECT auction, bidder, CAST(price * 0.908 AS DECIMAL(23, 3)),
          CASE WHEN hour(dateTime) IN (8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18) THEN 'dayTime'
               WHEN hour(dateTime) IN (7, 19) THEN 'otherTime' ELSE 'nightTime' END,
          dateTime, extra, length(extra) - length(replace(extra, 'c', ''))
        FROM bid WHERE price * 0.908 > 1000000 AND price * 0.908 < 50000000""",
    "q15": f"SELECT {_DAY}, {_COUNTS}, {_DISTINCT} FROM bid GROUP BY 1",
    "q16": f"""SELECT channel, {_DAY}, max(strftime(dateTime, '%H:%M')), {_COUNTS}, {_DISTINCT} FROM bid
        GROUP BY channel, {_DAY}""",
    "q17": f"""SELECT auction, {_DAY}, {_COUNTS}, min(price), max(price), CAST(sum(price) // count(*) AS BIGINT),
          CAST(sum(price) AS BIGINT) FROM bid GROUP BY auction, {_DAY}""",
    "q18": f"""SELECT {_BID} FROM bid
        QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC, n DESC) = 1""",
    "q19": f"""SELECT {_BID}, row_number() OVER (PARTITION BY auction ORDER BY price DESC, n) AS place FROM bid
        QUALIFY place <= 10""",
    "q20": """SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime, b.extra, a.itemName, a.description,
          a.initialBid, a.reserve, a.dateTime, a.expires, a.seller, a.category, a.extra
        FROM auction AS a, bid AS b WHERE a.id = b.auction AND a.category = 10""",
    "q21": """SELECT * FROM (
          SELECT auction, bidder, price, channel,
            coalesce(CAST(list_position(['Apple', 'Google', 'Facebook', 'Baidu'], channel) - 1 AS VARCHAR),
              CASE WHEN contains(url, '&channel_id=') THEN split_part(split_part(url, '&channel_id=', 2), '&', 1) END
            ) AS channel_id FROM bid)
        WHERE channel_id IS NOT NULL""",
    "q22": """SELECT auction, bidder, price, channel, split_part(url, '/', 4), split_part(url, '/', 5),
          split_part(url, '/', 6) FROM bid""",
    "q23": """SELECT b.bidder, b.price, b.channel, b.url, b.extra, p.id, p.name, p.emailAddress, p.creditCard, p.city,
          p.state, p.extra, a.itemName, a.description, a.initialBid, a.reserve, a.dateTime, a.expires, a.seller,
          a.category, a.extra
        FROM person AS p JOIN auction AS a ON a.seller = p.id JOIN bid AS b ON b.bidder = p.id""",
}
