"""A folder of recordings, on any pyarrow filesystem: what lies in it, each file once."""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
from pyarrow import fs

from respire.errors import REMEDY, InputError
from respire.runtime.storage import Storage

_SYSTEMS_OWN = ("lost+found", "$RECYCLE.BIN", "System Volume Information")
"""Folders that hold no recording, as a rule unlistable; so do names with a leading dot."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Source:
    """A folder that was listed.

    Attributes:
        uri: absolute path or URI.
        filesystem: that it is on.
        root: its path there.
        paths: of all files below it, sorted, links followed, each file once.
        warnings: folders that could not be looked into, one line each.
    """

    uri: str
    filesystem: fs.FileSystem
    root: str
    paths: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def at(cls, directory: str) -> "Source":
        """List a folder.

        Raises:
            InputError: it cannot be listed.
        """
        storage = Storage.at(directory)
        filesystem, root = storage.filesystem()
        unlisted: list[OSError] = []
        try:
            if isinstance(filesystem, fs.LocalFileSystem):
                paths = list(_walk(root, unlisted))
            else:
                found = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
                paths = [
                    file.path
                    for file in found
                    if file.type == fs.FileType.File
                    and not any(map(_is_own, file.path[len(root) :].split("/")))
                ]
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"{directory}: cannot be listed ({error}); give the data set's directory "
                f"with --data"
            ) from error
        warnings = tuple(
            f"{error.filename}: cannot be listed ({error.strerror}): recordings in it are not seen"
            for error in unlisted
        )
        return cls(storage.uri, filesystem, root, tuple(sorted(paths)), warnings)

    def named(self, name: str) -> list[str]:
        """Paths of the files of a name."""
        return [path for path in self.paths if PurePosixPath(path).name == name]

    def uri_of(self, path: str) -> str:
        """The path as one can open it from anywhere: absolute, or with the scheme and options."""
        return (Storage(self.uri) / path[len(self.root.rstrip("/")) + 1 :]).uri

    def read_text(self, path: str, remedy: str = REMEDY) -> str:
        """A text file's content.

        Raises:
            InputError: it cannot be read, or is no UTF-8 text.
        """
        try:
            with self.filesystem.open_input_file(path) as file:
                return decoded(file.read())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as text ({error}); {remedy}") from error


def decoded(content: bytes) -> str:
    """UTF-8 text.

    Raises:
        ValueError: it is none.
    """
    if content.startswith(_UTF_16) or b"\0" in content:
        raise ValueError("it is UTF-16, or no text: save it as UTF-8")
    return content.decode("utf-8-sig")


def shown(path: str) -> str:
    """A path, whose name may be no UTF-8, for a message."""
    return os.fsencode(path).decode(errors="backslashreplace")


def is_utf8(path: str) -> bool:
    """Whether a path is UTF-8 throughout; no other can be opened by Arrow."""
    return shown(path) == path


def _walk(root: str, unlisted: list[OSError]) -> Iterator[str]:
    """Files below a local folder; what a link leads to comes under the link's name, if by no other.

    A link may lead to a folder above it.
    """
    seen: set[str] = set()
    folders, links = deque([root]), deque[str]()
    while folders or links:
        path = (folders or links).popleft()
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        if path != root and not os.path.isdir(path):  # noqa: PTH112 - names may be no UTF-8
            if os.path.isfile(path):  # noqa: PTH113
                yield path
            continue
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            if path == root:
                raise
            unlisted.append(error)
            continue
        for entry in entries:
            if _is_own(entry.name):
                continue
            if entry.is_symlink():
                links.append(entry.path)
            elif entry.is_dir():
                folders.append(entry.path)
            elif entry.is_file() and (file := f"{real}/{entry.name}") not in seen:
                seen.add(file)
                yield entry.path


def _is_own(name: str) -> bool:
    return name.startswith(".") or name in _SYSTEMS_OWN
