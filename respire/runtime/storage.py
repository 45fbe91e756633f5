"""Storage: the one way results are read and written, on disk or in an object store."""

import fcntl
import json
import os
import re
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet
from pyarrow import fs

from respire.errors import InputError, without_credentials

OBJECT_STORES = ("s3", "gs", "gcs")
"""Their schemes, and pyarrow's names of them."""
_HELD: dict[str, IO[str]] = {}
"""Lock files of the folders that this process holds; the system lets go of them with it."""


@dataclass(frozen=True)
class Storage:
    """A folder on any pyarrow filesystem; a write is whole or absent.

    Attributes:
        uri: absolute path, or URI such as ``s3://bucket/runs``. Only strings are held, so that a
            Storage travels to Ray workers as it is.
    """

    uri: str

    @classmethod
    def at(cls, where: str | Path) -> "Storage":
        """The storage at a path (made absolute: Ray workers change directory) or a URI.

        Of a URI, what must be escaped and is not (spaces, ``#``, ``ü``) is.

        Raises:
            InputError: no path, a home that there is not, or a URI of no folder.
        """
        text = str(where)
        if "://" in text:
            return cls(_as_uri(text))
        if not text:
            raise InputError("a folder without a name (is a variable unset?); name one")
        try:
            return cls(str(Path(text).expanduser().absolute()))
        except RuntimeError as error:
            raise InputError(f"{text}: there is no such user here; give a whole path") from error

    def __truediv__(self, part: str) -> "Storage":
        """A file or folder below it, by the path that a file system knows it by."""
        if self.is_local:
            return Storage(f"{self.uri}/{part}")
        where, options = split_options(self.uri)
        return Storage(f"{where.rstrip('/')}/{quote(part)}{options}")

    @property
    def shown(self) -> str:
        """The URI as a console, a log or a report may show it: without credentials."""
        return without_credentials(self.uri)

    @property
    def is_local(self) -> bool:
        """Whether the storage is a folder of this machine."""
        return "://" not in self.uri

    @property
    def is_object_store(self) -> bool:
        """Whether files appear there whole or not at all, and renaming one means copying it."""
        return self.filesystem()[0].type_name in OBJECT_STORES

    def filesystem(self) -> tuple[fs.FileSystem, str]:
        """The pyarrow filesystem and the path within it.

        Raises:
            InputError: no filesystem understands the URI.
        """
        if self.is_local:
            return fs.LocalFileSystem(), self.uri
        parts = urlsplit(self.uri)
        try:
            if parts.scheme in OBJECT_STORES:
                client, bucket = _bucket(parts._replace(path="").geturl())
                return client, f"{bucket}{unquote(parts.path)}"
            return fs.FileSystem.from_uri(self.uri)
        except (pa.ArrowInvalid, OSError) as error:
            told = str(error).replace(parts._replace(path="").geturl(), self.shown)
            raise InputError(
                f"{self.uri}: no such storage ({told}); give a folder or an s3:// URI"
            ) from error

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        filesystem, path = self.filesystem()
        return filesystem.get_file_info(path).type != fs.FileType.NotFound

    def read_bytes(self) -> bytes:
        """The file's content."""
        filesystem, path = self.filesystem()
        with filesystem.open_input_stream(path) as stream:
            return stream.read()

    def write_bytes(self, content: bytes) -> None:
        """Write the file whole: where it could be seen in part, under another name first.

        Raises:
            InputError: the storage cannot be written.
        """
        filesystem, path = self.filesystem()
        whole = filesystem.type_name in OBJECT_STORES
        partial = path if whole else f"{path}.{uuid.uuid4().hex}.partial"
        try:
            if not whole:
                filesystem.create_dir(os.path.dirname(path), recursive=True)  # noqa: PTH120
            with filesystem.open_output_stream(partial) as stream:
                stream.write(content)
            if not whole:
                filesystem.move(partial, path)
        except OSError as error:
            if not whole:
                with suppress(OSError):  # what is left of it would take the room that others need
                    filesystem.delete_file(partial)
            raise self.refused(error) from error

    def refused(self, error: OSError) -> InputError:
        """What a user is told when the storage cannot be written."""
        return InputError(
            f"{self.uri}: cannot be written ({error.strerror or error}); make room there, and the "
            f"same command goes on, or choose another --storage"
        )

    def read_table(self) -> pa.Table:
        """The Parquet file's rows."""
        return pyarrow.parquet.read_table(pa.BufferReader(self.read_bytes()))

    def write_table(self, table: pa.Table, **how: Any) -> None:
        """Write rows as a Parquet file, whole or not at all; ``how`` is pyarrow's to know."""
        sink = pa.BufferOutputStream()
        pyarrow.parquet.write_table(table, sink, **how)
        self.write_bytes(sink.getvalue().to_pybytes())

    def read_json(self) -> Any:
        """The file's content, parsed."""
        return json.loads(self.read_bytes())

    def write_json(self, value: Any) -> None:
        """Write a value as indented JSON, whole or not at all."""
        self.write_bytes((json.dumps(value, indent=2) + "\n").encode())

    def delete(self) -> None:
        """Remove the file, or the folder with all in it, if it is there."""
        filesystem, path = self.filesystem()
        kind = filesystem.get_file_info(path).type
        if kind == fs.FileType.Directory:
            filesystem.delete_dir(path)
        elif kind == fs.FileType.File:
            filesystem.delete_file(path)

    def hold(self, what: str, or_else: str = "") -> None:
        """Keep other processes out of the folder for as long as this one lives, however it ends.

        Object stores and some file systems know no such lock: there, nothing is held.

        Args:
            what: is done there, in words.
            or_else: what may be done but to wait.

        Raises:
            InputError: another process has it, or it cannot be written.
        """
        filesystem, path = self.filesystem()
        if not isinstance(filesystem, fs.LocalFileSystem) or path in _HELD:
            return
        try:
            filesystem.create_dir(path, recursive=True)
            lock = (Path(path) / ".lock").open("a+")
        except OSError as error:
            raise self.refused(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read().strip()
            lock.close()
            raise InputError(
                f"{self.uri}: another command {what} ({owner}); wait until it has ended{or_else}"
            ) from error
        except OSError as error:
            lock.close()
            print(
                f"warning: {self.uri}: its file system locks nothing ({error.strerror}): while "
                f"this command {what}, start no second one that would",
                flush=True,
            )
            return
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        _HELD[path] = lock

    def check_writable(self) -> None:
        """Fail now rather than after an hour of training.

        Raises:
            InputError: the storage cannot be written.
        """
        probe = self / f".writable-{uuid.uuid4().hex}"
        probe.write_bytes(b"")
        probe.delete()


def split_options(where: str) -> tuple[str, str]:
    """A path or URI, and its options with their "?", which only an object store's may have."""
    scheme, separator, _ = where.partition("://")
    if not separator or scheme == "file":
        return where, ""
    path, question_mark, options = where.partition("?")
    return path, question_mark + options


def _as_uri(text: str) -> str:
    """The URI with all escaped that must be; only object stores' have options, after a "?"."""
    where, options = split_options(text)
    scheme, _, rest = where.partition("://")
    host, slash, path = rest.rstrip("/").partition("/")
    if not host and not path:
        raise InputError(f"{text}: names no folder; give one such as s3://bucket/runs")
    path = quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", path), safe="/%!$&'()*+,;=:@~")
    return f"{scheme}://{host}{slash}{path}{options}"


@cache
def _bucket(uri: str) -> tuple[fs.FileSystem, str]:
    """A bucket's client and name: one of each bucket in a process, with its connections."""
    return fs.FileSystem.from_uri(uri)
