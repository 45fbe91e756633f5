import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from respire.errors import InputError
from respire.runtime import storage as storage_module
from respire.runtime.run_folder import claim
from respire.runtime.storage import Storage, _bucket


@pytest.fixture(params=["path", "file://"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """The same folder, by its path and through pyarrow's own reading of a URI."""
    folder = tmp_path / "runs"
    return Storage.at(folder if request.param == "path" else folder.as_uri())


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_written_is_read_and_nothing_else_is_left(storage: Storage, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        (storage / "cells" / "fit.pt").write_bytes(content)
        assert (storage / "cells" / "fit.pt").read_bytes() == content
    assert files_below(tmp_path) == {"runs/cells/fit.pt"}


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_comes_back_as_it_went(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    file = Storage.at(tmp_path_factory.getbasetemp()) / "value.json"
    file.write_json(value)
    assert file.read_json() == value


def test_a_write_that_fails_leaves_the_earlier_content_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Storage.at(tmp_path) / "results.json"
    file.write_bytes(b"earlier")
    real = fs.LocalFileSystem()

    class Full:
        """A disk that is full once the content has been written."""

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def move(self, *_: str) -> None:
            raise OSError("No space left on device")

    monkeypatch.setattr(Storage, "filesystem", lambda self: (Full(), self.uri))
    with pytest.raises(InputError, match=r"results.json: cannot be written .*choose another"):
        file.write_bytes(b"later")
    monkeypatch.undo()
    assert file.read_bytes() == b"earlier"


class Bucket:
    """An object store: a file is there, whole, once its stream is closed; no file is renamed."""

    type_name = "s3"

    def __init__(self, broken: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.broken = broken

    @contextmanager
    def open_output_stream(self, path: str) -> Iterator[io.BytesIO]:
        stream = io.BytesIO()
        yield stream
        if self.broken:
            raise OSError("connection reset")
        self.files[path] = stream.getvalue()


def test_on_an_object_store_nothing_is_written_twice_or_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = Bucket()
    monkeypatch.setattr(Storage, "filesystem", lambda _: (bucket, "runs/results.json"))
    file = Storage("s3://bucket/runs/results.json")
    assert file.is_object_store
    file.write_bytes(b"earlier")
    assert bucket.files == {"runs/results.json": b"earlier"}
    bucket.broken = True
    with pytest.raises(InputError, match="connection reset"):
        file.write_bytes(b"later")
    assert bucket.files == {"runs/results.json": b"earlier"}


def test_a_bucket_has_one_client_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "?region=us-east-1&endpoint_override=localhost%3A9"
    plain = fs.FileSystem.from_uri
    from_uri = Mock(wraps=plain)
    monkeypatch.setattr("respire.runtime.storage.fs.FileSystem", Mock(from_uri=from_uri))
    _bucket.cache_clear()
    for name in ("own", "other"):
        home = Storage.at(f"s3://{name}/runs{asked}")
        for file in (home, home / "a b", home / "cells" / "key%20" / "fit.pt"):
            client, path = file.filesystem()
            theirs, their_path = plain(file.uri.replace(" ", "%20"))
            assert client == theirs
            assert path == their_path
            assert file.is_object_store
    assert from_uri.call_count == 2
    _bucket.cache_clear()


def test_a_file_or_a_folder_is_deleted_with_all_in_it_and_no_more(
    storage: Storage, tmp_path: Path
) -> None:
    for name in ("a/b/one", "a/two", "three"):
        (storage / name).write_bytes(b"")
    (storage / "a" / "two").delete()
    assert files_below(tmp_path) == {"runs/a/b/one", "runs/three"}
    (storage / "a").delete()
    assert not (storage / "a").exists()
    assert files_below(tmp_path) == {"runs/three"}
    (storage / "a").delete()


def test_a_folder_below_a_file_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be written .*choose another --storage"):
        Storage.at(tmp_path / "notes").check_writable()
    assert files_below(tmp_path) == {"notes"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        Storage.at(tmp_path).check_writable()


def test_a_check_leaves_nothing_behind(storage: Storage, tmp_path: Path) -> None:
    storage.check_writable()
    assert files_below(tmp_path) == set()


def test_a_scheme_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"tape://drive/runs.*: no such storage .*s3://"):
        Storage.at("tape://drive/runs").check_writable()


def test_a_relative_folder_is_absolute_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage.at("runs")
    assert storage.is_local
    assert storage.uri == str(tmp_path / "runs")
    assert Storage.at("s3://bucket/runs/") / "a" == Storage("s3://bucket/runs/a")
    assert not Storage.at("s3://bucket/runs").is_local


NAMES = ["my runs", "ü", "a#b", "a?b=c", "a%20b", "100%", "a[b]{c}", "a+b&c;d"]


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_a_uri_leads_to_the_same_file_as_a_path_whatever_its_folders_are_called(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "anywhere"
    for part in parts:
        Storage.at(folder / part / "cells").check_writable()
    below = Storage.at(f"file://{folder}")
    for part in parts:
        below, folder = below / part, folder / part
    (below / "x").write_bytes(b"through the uri")
    assert (folder / "x").read_bytes() == b"through the uri"
    assert (Storage.at(folder.as_uri()) / "x").read_bytes() == b"through the uri"
    (folder / "x").unlink()


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("mock:///my runs/ü", "my runs/ü"),
        ("mock:///my%20runs/%C3%BC", "my runs/ü"),
        ("mock:///a#b/100%", "a#b/100%"),
        ("s3://bucket/my runs/a#b?region=eu-west-1", "bucket/my runs/a#b"),
        ("s3://bucket/my%20runs?region=eu-west-1", "bucket/my runs"),
        ("file:///my runs/a#b?c", "/my runs/a#b?c"),
        ("file:///my%20runs/", "/my runs"),
    ],
)
def test_what_a_uri_must_escape_is_escaped_and_what_is_stays(typed: str, path: str) -> None:
    storage = Storage.at(typed)
    assert storage.filesystem()[1] == path
    assert Storage.at(storage.uri) == storage
    assert (storage / "a?b").filesystem()[1] == f"{path}/a?b"
    assert ("region=eu-west-1" in (storage / "a").uri) == ("region" in typed)


@pytest.mark.parametrize("where", ["", "~nosuchuser/runs", "s3://", "file:///", "file://host/runs"])
def test_what_is_no_place_is_refused_in_one_line(where: str) -> None:
    with pytest.raises(InputError) as refused:
        Storage.at(where).check_writable()
    assert "\n" not in str(refused.value)


HOLDS = """
import sys, time
from respire.runtime.storage import Storage, _bucket
Storage.at(sys.argv[1]).hold('runs', ', or not')
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder ``run``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_that_another_process_holds_is_refused_with_its_owner(tmp_path, holder):
    run = Storage.at(tmp_path / "run")
    with pytest.raises(InputError, match=f"process {holder.pid} on .*ended, or not$"):
        run.hold("runs", ", or not")
    with pytest.raises(InputError, match=f"process {holder.pid} on .*choose another --name"):
        claim(run, {})
    Storage.at(f"file://{tmp_path}/other").hold("runs")
    with pytest.raises(InputError, match=f"process {holder.pid} on "):
        Storage.at(f"file://{tmp_path}/run").hold("runs")


def test_the_hold_dies_with_its_owner_however_it_ends(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    run = Storage.at(tmp_path / "run")
    run.hold("runs")
    run.hold("runs")  # the same process may run it again
    assert str(os.getpid()) in (tmp_path / "run" / ".lock").read_text()


def test_a_file_system_without_locks_is_told_of_and_no_rival_is_made_up(
    tmp_path, monkeypatch, capsys
):
    def unable(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(storage_module.fcntl, "flock", unable)
    Storage.at(tmp_path / "run").hold("runs")
    said = capsys.readouterr().out
    assert "No locks available" in said
    assert "while this command runs, start no second one" in said
