"""What is set aside is there once, whoever sets it aside."""

from __future__ import annotations

from pathlib import Path

import streamsql


def test_two_queries_that_meet_a_bad_record_keep_it_once(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"n": 1}\n{oops\n{"n": "x"}\n')
    with streamsql.connect() as session:
        session.sql(f"""CREATE TABLE t (n INT) WITH ('connector' = 'filesystem', 'path' = '{tmp_path}/in.json',
                        'format' = 'json')""")
        for _ in range(2):
            query = session.sql("SELECT n FROM t")
            assert query.fetchall() == [(1,)]
            assert query.statistics().errors == 2
        assert session.sql("SELECT `offset` FROM `t$errors`").fetchall() == [(1,), (2,)]
