"""Kafka: the rows of a case as JSON records of topics.

Each partition that a case speaks of is a topic of its own with one partition: which record goes
where is then said by the table's name, as any SQL script could say it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from streamsql.core.clock import Clock
from streamsql.core.schema import text_literal
from streamsql.errors import InternalError
from streamsql.session import Query, Session
from streamsql.sql.statements import CreateTable
from streamsql.testing.case import Case, Input
from streamsql.testing.execution import Execution
from streamsql.testing.feed import Feed, MemoryFeed


class KafkaFeed(MemoryFeed):
    """Topics for the tables that the case feeds; the others stay in memory.

    A session of its own writes them, by INSERTs from tables in memory.
    """

    def __init__(self, case: Case, session: Session, clock: Clock, servers: str) -> None:
        super().__init__(case, session)
        self._servers = servers
        self._run = uuid.uuid4().hex[:12]
        self._fed = {s.source for s in case.steps if isinstance(s, Input)}
        self._writer = Session(threaded=False, clock=clock)
        self._queries: dict[str, Query] = {}
        self._counts: Counter[str] = Counter()

    def options(self, statement: CreateTable) -> Mapping[str, str]:
        name = statement.name.last
        if name not in self._fed:
            return super().options(statement)
        topics = [self._topic(name, n) for n in range(self._case.partitions(name))]
        columns = ", ".join(f"`{c.name}` {c.type.as_nullable()}" for c in statement.columns
                            if c.kind == "physical" and c.type is not None)
        for topic in topics:
            self._open(topic, columns)
        given = {o.key for o in statement.options}
        options = {**self._connection(";".join(topics)), "scan.startup.mode": "earliest-offset"}
        return {key: value for key, value in options.items() if key not in given}

    def _topic(self, name: str, partition: int) -> str:
        return f"case-{self._run}-{name}-{partition}"

    def _connection(self, topic: str) -> dict[str, str]:
        return {"connector": "kafka", "properties.bootstrap.servers": self._servers, "topic": topic,
                "format": "json"}

    def _open(self, topic: str, columns: str) -> None:
        """A topic that exists, and a query that fills it."""
        options = {**self._connection(topic), "sink.topic.partitions": "1"}
        given = ", ".join(f"{text_literal(k)} = {text_literal(v)}" for k, v in options.items())
        results = list(self._writer.execute(
            f"CREATE TABLE `from {topic}` ({columns}) WITH ('connector' = 'memory');\n"
            f"CREATE TABLE `{topic}` ({columns}) WITH ({given});\n"
            f"INSERT INTO `{topic}` SELECT * FROM `from {topic}`;"))
        query = results[-1].query
        assert query is not None
        query.turn()
        self._queries[topic] = query

    def append(self, name: str, rows: pa.Table, partition: int, diff: Sequence[int] | None) -> None:
        topic = self._topic(name, partition)
        if topic not in self._queries:
            super().append(name, rows, partition, diff)
            return
        query = self._queries[topic]
        self._writer.memory(f"from {topic}").append(rows)
        while query.turn():
            """The rows are handed to the producer."""
        query.commit()
        self._counts[name] += rows.num_rows

    def append_raw(self, name: str, values: Sequence[bytes], partition: int) -> None:
        raise InternalError("bytes do not go through the topics of a case")

    def awaited(self, name: str) -> int | None:
        return self._counts[name] if name in self._fed else None

    def close(self) -> None:
        for query in self._queries.values():
            query.close()
        self._writer.close()


class KafkaExecution(Execution):
    """A run whose input goes through a broker."""

    def make_feed(self) -> Feed:
        return KafkaFeed(self.case, self.session, self.clock, self.servers)
