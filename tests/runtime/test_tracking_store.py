"""A store that cannot be used is refused at once, and a new one is whole or absent."""

import multiprocessing
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from respire.errors import InputError
from respire.runtime import tracking_store
from respire.runtime.tracking_store import client, preflight, resolve_uri, run_page


@pytest.fixture(scope="module")
def first_use(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder where a process of its own made a database, and all that it printed."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/a b/1.db"
    code = f"from respire.runtime.tracking_store import preflight; preflight({uri!r}, 'e')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return folder, done.stdout, done.stderr


def test_a_relative_database_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert resolve_uri(f"sqlite:///{tmp_path}/a.db") == f"sqlite:///{tmp_path}/a.db"
    assert resolve_uri("http://host:5000/") == "http://host:5000"


@pytest.mark.parametrize(
    "uri", ["mlruns", "file:///mlruns", "sqlite://", "sqlite:///:memory:", "postgresql://u:pw@h/d"]
)
def test_other_stores_are_refused_with_the_remedy_and_no_password(uri: str) -> None:
    with pytest.raises(InputError, match=r"sqlite:///mlflow\.db") as caught:
        resolve_uri(uri)
    assert "pw" not in str(caught.value)


def test_a_new_database_is_made_quietly_and_leaves_nothing_beside_it(
    first_use: tuple[Path, str, str],
) -> None:
    folder, stdout, stderr = first_use
    assert stdout == stderr == ""
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == ["a b", "a b/1.db"]


def test_a_database_that_was_killed_in_the_making_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", killed)
    with pytest.raises(KeyboardInterrupt):
        preflight(f"sqlite:///{tmp_path}/mlflow.db", "respire/full")
    assert not list(tmp_path.iterdir())


def test_a_database_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a database, though long enough to be taken for one " * 9)
    for path in (tmp_path / "file", tmp_path / "file/mlflow.db", Path("/proc/none/mlflow.db")):
        with pytest.raises(InputError, match="choose another --tracking-uri") as caught:
            preflight(f"sqlite:///{path}", "respire/full")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tables", [["studies", "alembic_version"], ["patients"]])
def test_another_programs_database_is_refused_in_one_line_and_left_as_it_was(
    tables: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file)) as database:
        for table in tables:
            database.execute(f"CREATE TABLE {table} (row)")
    before = file.read_bytes()
    with pytest.raises(InputError, match="a database of another program") as refused:
        preflight(f"sqlite:///{file}", "full")
    assert "\n" not in str(refused.value)
    assert file.read_bytes() == before


def test_a_database_that_can_only_be_read_is_refused_before_anything_is_done(
    first_use: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, connect = first_use[0] / "a b/1.db", sqlite3.connect

    def read_only(path: Path, *given: Any, **how: Any) -> sqlite3.Connection:
        return connect(f"{path.as_uri()}?mode=ro", *given, uri=True, **how)

    before = file.read_bytes()
    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(InputError, match=r"cannot be written \(attempt to write a readonly"):
        preflight(f"sqlite:///{file}", "e")
    assert file.read_bytes() == before


def test_a_deleted_experiment_is_an_input_error(
    first_use: tuple[Path, str, str], tmp_path: Path
) -> None:
    uri = f"sqlite:///{shutil.copy(first_use[0] / 'a b/1.db', tmp_path)}"
    MlflowClient(tracking_uri=uri).delete_experiment(preflight(uri, "respire/full"))
    with pytest.raises(InputError, match="mlflow experiments restore"):
        preflight(uri, "respire/full")


def test_an_experiment_that_another_command_creates_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    created = preflight(uri, "one")
    store = client(uri)
    asked = [None, store.get_experiment_by_name("one")]
    monkeypatch.setattr(store, "get_experiment_by_name", lambda _: asked.pop(0))
    assert preflight(uri, "one") == created
    assert not asked


def test_an_unreachable_server_is_an_input_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*refused.*start it") as caught:
        preflight(f"http://me:secret@127.0.0.1:{port}", "respire/full")
    assert "secret" not in str(caught.value)


def test_a_silent_server_is_given_up_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_store.SERVER_LIMIT_S <= 5
    monkeypatch.setattr(tracking_store, "SERVER_LIMIT_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(InputError, match="start it"):
            preflight(f"http://127.0.0.1:{silent.getsockname()[1]}", "respire/full")
        assert time.monotonic() - began < 1.5


def test_a_run_can_be_looked_at_on_its_page() -> None:
    assert run_page("http://u:pw@host", "1", "r") == "http://host/#/experiments/1/runs/r"
    command = "mlflow ui --backend-store-uri 'sqlite:////a b.db'"
    assert run_page("sqlite:////a b.db", "1", "r").startswith(command)


@pytest.mark.slow
def test_two_experiments_may_create_the_same_database_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    spawn = multiprocessing.get_context("spawn")
    drivers = [spawn.Process(target=preflight, args=(uri, name)) for name in ("a", "b")]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert [driver.exitcode for driver in drivers] == [0, 0]
    found = MlflowClient(tracking_uri=uri).search_experiments()
    assert {experiment.name for experiment in found} == {"Default", "a", "b"}
