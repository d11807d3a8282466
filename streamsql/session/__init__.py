"""The public face: Session, Query and what they give."""

from streamsql.session.facts import CatalogView, Result
from streamsql.session.query import Change, Query, QueryStatistics
from streamsql.session.session import Session, connect
from streamsql.values.user import function

__all__ = ["CatalogView", "Change", "Query", "QueryStatistics", "Result", "Session", "connect", "function"]
