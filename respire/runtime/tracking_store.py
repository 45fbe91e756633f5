"""The tracking store: the database or server where MLflow keeps runs, checked before use."""

import logging
import os
import queue
import sqlite3
import tempfile
import threading
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from respire.errors import InputError, without_credentials

# MLflow takes two seconds to import, so functions import it: --help never waits for it.
if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVER_LIMIT_S = 5.0
"""Seconds a tracking server has to say that it is well."""
SQLITE_LIMIT_S = 20.0
"""Seconds that a database may be another process's."""
_SQLITE = "sqlite:///"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_WRITTEN_AND_TAKEN_BACK = (
    "BEGIN IMMEDIATE",
    "CREATE TABLE respire_was_here (row)",
    "INSERT INTO respire_was_here VALUES (1)",
    "DROP TABLE respire_was_here",
    "COMMIT",
)
"""One transaction: the file is written, and holds what it held."""


def resolve_uri(uri: str) -> str:
    """The tracking URI as it means the same in every process: its database path absolute.

    Raises:
        InputError: neither ``sqlite:///FILE`` nor the ``http(s)://`` address of a tracking server;
            MLflow itself refuses folders.
    """
    if uri.startswith(("http://", "https://")):
        return uri.rstrip("/")
    path = uri.removeprefix(_SQLITE)
    if path == uri or path in ("", ":memory:"):
        raise InputError(
            f"--tracking-uri {uri}: not a store that can be used; give a database file as "
            "sqlite:///mlflow.db or the address of a tracking server as http://host:5000"
        )
    try:
        return f"{_SQLITE}{Path(path).expanduser().absolute()}"
    except RuntimeError as error:
        raise InputError(f"--tracking-uri {uri}: there is no such user here") from error


def preflight(uri: str, experiment: str) -> str:
    """Make sure that runs can be logged, before anything expensive starts.

    A server is asked whether it is well. A database gets its schema here, whole or not at all,
    because workers that create it at once destroy it. The experiment, whose id is returned, is
    created if it is new; beside a database its artifacts go to the folder ``mlartifacts``.

    Raises:
        InputError: the server does not answer within 5 s, the database cannot be written or is of
            another program or another MLflow, or the experiment was deleted.
    """
    from mlflow.exceptions import MlflowException

    if uri.startswith(_SQLITE):
        database = Path(uri.removeprefix(_SQLITE))
        _prepare_database(database)
        artifacts = (database.parent / "mlartifacts" / experiment).as_uri()
    else:
        _ask_server(uri)
        artifacts = None
    try:
        store = client(uri)
        found = store.get_experiment_by_name(experiment)
        if found is None:
            try:
                return store.create_experiment(experiment, artifact_location=artifacts)
            except MlflowException:  # another command has created it since, or it is refused
                found = store.get_experiment_by_name(experiment)
                if found is None:
                    raise
    except MlflowException as error:
        raise InputError(
            f"--tracking-uri {uri}: MLflow refuses ({_in_one_line(error)}); "
            "choose another --tracking-uri"
        ) from error
    if found.lifecycle_stage != "active":
        raise InputError(
            f"--tracking-uri {uri}: experiment {experiment!r} was deleted there; bring it "
            f"back with: mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return found.experiment_id


@cache
def client(uri: str) -> "MlflowClient":
    """The process's client of a store, without MLflow's own announcements.

    User and password of a server's address go to MLflow's environment variables for them, so that
    no message of MLflow's, in whatever log, repeats them.
    """
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=_signed_in(uri))


def run_page(uri: str, experiment_id: str, run_id: str) -> str:
    """Where a run can be looked at: its page, or the command that serves it."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}"
    if uri.startswith(_SQLITE):
        return f"mlflow ui --backend-store-uri '{uri}', then http://127.0.0.1:5000/{page}"
    return f"{without_credentials(uri)}/{page}"


def _prepare_database(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create_database(path)
        with closing(sqlite3.connect(path, SQLITE_LIMIT_S, isolation_level=None)) as database:
            tables = {name for (name,) in database.execute(_TABLES)}
            if tables and not tables >= {"alembic_version", "experiments", "runs"}:
                raise InputError(
                    f"--tracking-uri {_SQLITE}{path}: a database of another program (it has "
                    f"{', '.join(sorted(tables)[:3])}); choose another --tracking-uri"
                )
            for statement in _WRITTEN_AND_TAKEN_BACK:
                database.execute(statement)
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"--tracking-uri {_SQLITE}{path}: the database cannot be written "
            f"({error}); choose another --tracking-uri"
        ) from error


def _create_database(path: Path) -> None:
    """Build the schema elsewhere and link it into place, so that a kill leaves none half-built."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as temporary:
        new = Path(temporary) / path.name
        client(f"{_SQLITE}{new}").search_experiments(max_results=1)
        with suppress(FileExistsError):  # another experiment started here at the same time
            path.hardlink_to(new)


def _ask_server(uri: str) -> None:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    answers: queue.Queue[str] = queue.Queue()

    def ask() -> None:
        try:
            credentials = get_default_host_creds(_signed_in(uri))
            reply = http_request(
                credentials, "/health", "GET", max_retries=0, timeout=SERVER_LIMIT_S
            )
            answers.put("" if reply.status_code == 200 else f"status {reply.status_code}")
        except Exception as error:
            cause: BaseException = error
            while cause.__context__:  # the innermost says what happened, in few words
                cause = cause.__context__
            answers.put(_in_one_line(cause))

    # Name resolution and a dripping reply know no time limit, so the limit is kept from outside.
    threading.Thread(target=ask, daemon=True).start()
    try:
        problem = answers.get(timeout=SERVER_LIMIT_S)
    except queue.Empty:
        problem = f"no answer within {SERVER_LIMIT_S:g} s"
    if problem:
        raise InputError(
            f"--tracking-uri {uri}: the tracking server is not well ({problem}); start it, "
            "or use a database as --tracking-uri sqlite:///mlflow.db"
        )


def _signed_in(uri: str) -> str:
    """The address by itself, once MLflow's environment says who asks."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username or "")
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
