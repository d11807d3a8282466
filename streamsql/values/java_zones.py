"""Names of time zones as Java knows them."""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo

_OFFSET_ZONE = re.compile(r"GMT[+-]([01]?\d|2[0-3])(:?[0-5]\d)?")
_SHORT_ZONES = {"PST": "America/Los_Angeles", "CST": "America/Chicago", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo",
                "AST": "America/Anchorage", "CTT": "Asia/Shanghai", "ECT": "Europe/Paris", "EAT": "Africa/Addis_Ababa",
                "ART": "Africa/Cairo", "AET": "Australia/Sydney", "ACT": "Australia/Darwin", "EST": "EST",
                "MST": "MST", "HST": "HST", "PRT": "America/Puerto_Rico", "CNT": "America/St_Johns",
                "AGT": "America/Argentina/Buenos_Aires", "BET": "America/Sao_Paulo", "CAT": "Africa/Harare",
                "NET": "Asia/Yerevan", "PLT": "Asia/Karachi", "BST": "Asia/Dhaka", "VST": "Asia/Ho_Chi_Minh",
                "SST": "Pacific/Guadalcanal", "NST": "Pacific/Auckland", "MIT": "Pacific/Apia", "IET": "EST",
                "PNT": "MST"}


@functools.lru_cache(maxsize=64)
def java_zone(name: str) -> str:
    """The zone that Java takes for a name: GMT for one that it does not know."""
    if name in _SHORT_ZONES:
        return _SHORT_ZONES[name]
    known = name in zoneinfo.available_timezones() or _OFFSET_ZONE.fullmatch(name) is not None
    return name if known else "UTC"


_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?")


@functools.lru_cache(maxsize=64)
def known_zone(name: str) -> str:
    """The zone of `java.time.ZoneId.of` as DuckDB calls it; raises ValueError for one that is not known."""
    if name in zoneinfo.available_timezones():
        return name
    found = _OFFSET.fullmatch(name)
    if found:
        return f"GMT{found[1]}{int(found[2]):02d}:{found[3] or '00'}"
    if name == "Z":
        return "UTC"
    raise ValueError(f'time zone "{name}" is not known')


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> datetime.tzinfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None


def abbreviation(epoch_s: int, name: str) -> str:
    """What a zone is called at a moment: `EST`, `EDT`; its own name where it has no other."""
    zone = _zone(name)
    if zone is None:
        return name
    return datetime.datetime.fromtimestamp(epoch_s, zone).tzname() or name
