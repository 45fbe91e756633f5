"""An address where no Ray is, and a folder that Ray cannot use: one line, and soon."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import ray

from respire.errors import InputError
from respire.runtime import address
from respire.runtime.address import check_ray


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ray's, in which nothing is noted yet; its name is short enough."""
    monkeypatch.setattr(address, "_LONGEST_SOCKET", 4096)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def listening() -> Iterator[str]:
    """Where something takes calls, and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"127.0.0.1:{silent.getsockname()[1]}"


@pytest.fixture
def nobody() -> Iterator[str]:
    """Where nothing takes calls, while the test runs."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{kept.getsockname()[1]}"


@pytest.mark.parametrize(
    "given", ["foo bar", "ray://head:10001", "head", "http://head:80", "h:1:2", "h:999999"]
)
def test_what_is_no_address_of_a_cluster_is_refused(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", given)
    with pytest.raises(InputError, match=r"RAY_ADDRESS .*unset RAY_ADDRESS") as refused:
        check_ray()
    assert given in str(refused.value)


@pytest.mark.parametrize("given", ["", "local"])
def test_no_address_is_asked_nothing(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> NoReturn:
        pytest.fail("somebody was asked")

    monkeypatch.setenv("RAY_ADDRESS", given)
    monkeypatch.setattr(subprocess, "run", asked)
    monkeypatch.setattr(socket, "create_connection", asked)
    check_ray()


def test_a_cluster_that_is_gone_is_refused_without_loading_ray(
    nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("Ray was loaded"))
    monkeypatch.setenv("RAY_ADDRESS", nobody)
    with pytest.raises(InputError, match=rf"RAY_ADDRESS {nobody}: no Ray .*\(.*\); unset"):
        check_ray()


def test_a_cluster_of_this_machine_that_is_gone_is_refused_with_the_file_that_names_it(
    nobody: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = folder / "ray" / "ray_current_cluster"
    note.parent.mkdir()
    note.write_text(f"{nobody}\n")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=rf"^{note}: .*{nobody} is gone .*RAY_ADDRESS to local"):
        check_ray()
    monkeypatch.setenv("RAY_ADDRESS", "local")
    check_ray()


def test_what_takes_calls_and_does_not_answer_is_waited_for_so_long_only(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "ANSWER_S", 1.0)
    monkeypatch.setenv("RAY_ADDRESS", listening)
    with pytest.raises(InputError, match=f"RAY_ADDRESS {listening}: .*no answer to `ray status`"):
        check_ray()


def test_why_ray_finds_no_cluster_is_told_in_its_last_words(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str], **_: object) -> NoReturn:
        assert arguments[-2:] == ["--address", listening]
        raise subprocess.CalledProcessError(1, arguments, b"", b"Traceback:\n  a line\nwhy: so\n")

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setenv("RAY_ADDRESS", listening)
    with pytest.raises(InputError, match=rf"^RAY_ADDRESS {listening}: [^\n]*\(why: so\)"):
        check_ray()


def test_automatic_without_a_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    words = b"ConnectionError: Could not find any running Ray instance."
    error = subprocess.CalledProcessError(1, "ray", b"", words)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(error))
    address._problem.cache_clear()
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(InputError, match=r"RAY_ADDRESS auto: .*not find any running.*unset RAY_AD"):
        check_ray()
    address._problem.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_cluster_that_runs_can_be_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    check_ray()


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_folder_too_long_for_rays_sockets_is_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, f"/tmp/{'x' * 60}")
    with pytest.raises(InputError, match=f"{variable} /tmp/xx.*shorter folder"):
        check_ray()
