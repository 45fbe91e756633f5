"""What lets others in is repeated nowhere: not on the console, in no log, no report, no result."""

import base64
import json
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

import respire
from respire.command.main import command
from respire.command.options import DataOptions
from respire.data.corpora.icbhi import read_catalogue
from respire.errors import InputError, without_credentials
from respire.runtime.storage import Storage
from respire.runtime.tracking_store import client, preflight, run_page

RESPIRE = Path(respire.__file__).parent
BUCKET = "s3://AKIA7:sesame@bucket/runs"
WORDS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:sesame@host:5000/x", "http://host:5000/x"),
        ("http://sesame@host", "http://host"),
        ("http://me:se@same@host", "http://host"),
        ("s3://AKIA7:se/sa+me=@bucket/x?region=eu", "s3://bucket/x?region=eu"),
        ("abfs://host/x?sv=1&sig=sesame", "abfs://host/x?sv=1&sig=..."),
        ("https://host/x?access_token=sesame&b=1", "https://host/x?access_token=...&b=1"),
        ("two: (s3://a:sesame@b/c) and s3://d:sesame@e", "two: (s3://b/c) and s3://e"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("/data/a@b/c?key", "/data/a@b/c?key"),
        ("http://host:5000/#/experiments/1", "http://host:5000/#/experiments/1"),
    ],
)
def test_a_text_is_shown_without_credentials_and_otherwise_as_it_is(text, shown):
    assert without_credentials(text) == shown


@given(WORDS.filter(lambda word: not set(word) & set(":/@")), WORDS)
def test_whatever_a_password_is_made_of_nothing_of_it_is_left(user, password):
    assert without_credentials(f"at s3://{user}:{password}@bucket/x!") == "at s3://bucket/x!"


def test_an_input_error_has_none_in_it_here_and_in_other_processes():
    error = InputError(f"{BUCKET}: cannot be read")
    assert (
        str(error) == str(pickle.loads(pickle.dumps(error))) == "s3://bucket/runs: cannot be read"
    )


@pytest.mark.parametrize(
    "uri",
    [f"{BUCKET}?nonsense=1", "tape://AKIA7:sesame@drive/runs", "s3://AKIA7:ses/ame@bucket/runs"],
)
def test_a_storage_that_cannot_be_is_refused_without_its_key(uri):
    for refuse in (Storage.at(uri).check_writable, lambda: read_catalogue(uri)):
        with pytest.raises(InputError, match=r"no such storage") as refused:
            refuse()
        assert not secrets_in(str(refused.value))


def secrets_in(text: str) -> list[str]:
    return [secret for secret in ("AKIA7", "ses", "same", "ame@") if secret in text]


def test_a_storage_is_shown_without_its_key_and_keeps_its_options():
    cell = Storage.at(f"{BUCKET}?region=eu") / "cells" / "k"
    assert cell.uri == f"{BUCKET}/cells/k?region=eu"
    assert cell.shown == "s3://bucket/runs/cells/k?region=eu"
    filesystem, path = cell.filesystem()
    assert (filesystem.region, path) == ("eu", "bucket/runs/cells/k")
    assert (Storage.at("/a?b") / "c").uri == "/a?b/c"


@pytest.mark.parametrize("module", sorted(RESPIRE.rglob("*.py")), ids=lambda module: module.stem)
def test_ray_is_given_a_filesystem_and_a_path_and_shows_no_uri_on_its_dashboard(module):
    text = module.read_text()
    assert text.count("storage_path=") == text.count("storage_filesystem=filesystem,")
    assert not re.search(r"storage_path=.*uri|(can_)?restore\(.*uri", text)


class _Guarded(BaseHTTPRequestHandler):
    """A tracking server that is well, knows who asks, and answers nothing else."""

    who: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.who.append(self.headers["Authorization"])
        self.send_response(200 if self.path == "/health" else 403)
        self.end_headers()
        self.wfile.write(json.dumps({"error_code": "PERMISSION_DENIED"}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a tracking server, with user and password."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "nobody")  # so that it is as before in the end
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://me:se%40same@127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_tracking_server_hears_the_password_and_nobody_else_does(server):
    with pytest.raises(InputError, match="MLflow refuses") as refused:
        preflight(server, "full")
    assert set(_Guarded.who) == {f"Basic {base64.b64encode(b'me:se@same').decode()}"}
    assert "same" not in str(refused.value) + run_page(server, "1", "2")


def test_mlflows_own_messages_do_not_have_the_password(server):
    asked = client(server.replace("127.0.0.1", "localhost.invalid"))
    with pytest.raises(MlflowException, match=r"localhost\.invalid") as refused:
        asked.get_experiment_by_name("full")
    assert "same" not in str(refused.value)
    assert "same" not in mlflow.get_tracking_uri()


def test_an_error_that_nobody_expected_is_told_without_credentials(monkeypatch, capsys):
    def fail(_: DataOptions) -> None:
        raise OSError(f"{BUCKET}: it broke")

    monkeypatch.setattr(sys, "argv", ["full.py"])
    with pytest.raises(SystemExit) as ended:
        command(DataOptions, fail, "")
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert "OSError: s3://bucket/runs: it broke" in told
    assert not secrets_in(told)
