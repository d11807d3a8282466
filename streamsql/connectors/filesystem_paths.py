"""Which files a `path` means: one file, a folder with all below it, or a pattern."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamsql.core.options import OptionError
from streamsql.errors import ConnectorError, did_you_mean

WHERE = 'connector "filesystem"'
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/")


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was found: two Files are equal when it has not been written since."""

    path: str
    size_bytes: int
    modified_ns: int

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def local(path: str) -> str:
    """The absolute path that `path` or a `file:` address means. Raises OptionError for others."""
    scheme = _SCHEME.match(path)
    if scheme and scheme[1].lower() == "file":
        path = re.sub(r"^file:/+", "/", path, flags=re.IGNORECASE)
    elif scheme:
        raise OptionError(f'{WHERE} cannot reach "{path}"', "path",
                          "Only local paths are built: write /folder/file or file:///folder/file.")
    if not path.strip():
        raise OptionError(f'option "path" of {WHERE} is "{path}"', "path",
                          "Write the path of a file or folder.")
    return os.path.abspath(path)


def pattern(text: str | None) -> re.Pattern[str] | None:
    """`source.path.regex-pattern`, which the whole absolute path has to match."""
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise OptionError(f'option "source.path.regex-pattern" of {WHERE} is "{text}"',
                          "source.path.regex-pattern", f"Write a regular expression: {error}.") from None


@dataclass(frozen=True, slots=True)
class Listing:
    """What is to be read: a local path, and which of the files there."""

    table: str
    path: str
    matching: re.Pattern[str] | None = None

    def files(self, *, must_exist: bool) -> list[File]:
        """The files that are there now, by (modification time, path). Raises ConnectorError.

        Hidden ones, whose name or folder below the path begins with `.` or `_`, are left out.
        must_exist: a pattern without any file is an error as well.
        """
        try:
            found = {path: file for root in self._roots(must_exist) for path in _walk(root)
                     if (self.matching is None or self.matching.fullmatch(path)) and (file := _file(path))}
        except OSError as error:
            raise ConnectorError(f'cannot list "{self.path}" of table "{self.table}": {error.strerror}'
                                 ) from error
        return sorted(found.values(), key=lambda file: (file.modified_ns, file.path))

    def _roots(self, must_exist: bool) -> list[str]:
        if os.path.exists(self.path):
            return [self.path]
        if not glob.has_magic(self.path):
            raise missing(self.table, self.path)
        fixed = _fixed(self.path)
        roots = [path for path in glob.glob(self.path, recursive=True)
                 if not any(map(_hidden, Path(path).relative_to(fixed).parts))]
        if must_exist and not roots:
            raise ConnectorError(f'no file matches "{self.path}" of table "{self.table}"',
                                 detail=_around(_fixed(self.path)))
        return roots


def missing(table: str, path: str) -> ConnectorError:
    """The error for a path that is not there: the nearest folder that is, and what it holds."""
    there = Path(path)
    while not there.exists():
        wanted, there = there.name, there.parent
    names = _names(there)
    return ConnectorError(f'path "{path}" of table "{table}" does not exist', detail=_around(str(there)),
                          hint=did_you_mean(wanted, names, f'In "{there}"') if names else None)


def _around(path: str) -> str:
    there = Path(path)
    while not there.exists():
        there = there.parent
    if there.is_dir():
        return f'"{there}" exists' + ("" if _names(there) else " and is empty")
    return f'"{there}" is a file'


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if not _hidden(entry.name))
    except OSError:
        return []


def _fixed(path: str) -> str:
    """The folder above the first part of a pattern that is not plain."""
    parts = Path(path).parts
    plain = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    return str(Path(*parts[:plain]))


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _walk(root: str) -> Iterator[str]:
    if not os.path.isdir(root):
        yield root
        return
    for folder, folders, names in os.walk(root, onerror=_raise):
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in names:
            if not _hidden(name):
                yield os.path.join(folder, name)


def _raise(error: OSError) -> None:
    raise error


def _file(path: str) -> File | None:
    """None for what is not a file, or went away between the listing and the look."""
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        return None
    return File(path, facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None
