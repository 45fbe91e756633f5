"""An address where no Ray is, and a folder that Ray cannot use: one line, and soon."""

import socket
import threading

import pytest

from respire.errors import InputError
from respire.runtime import address
from respire.runtime.address import check_ray


@pytest.mark.parametrize(
    "given", ["foo bar", "ray://head:10001", "head", "http://head:80", "h:1:2"]
)
def test_what_is_no_address_of_a_cluster_is_refused(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", given)
    with pytest.raises(InputError, match=r"RAY_ADDRESS .*unset RAY_ADDRESS") as refused:
        check_ray()
    assert given in str(refused.value)


@pytest.mark.parametrize("given", ["", "local", "auto"])
def test_no_address_is_asked_nothing(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", given)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    check_ray()


@pytest.mark.parametrize("answer", [None, b"SSH-2.0", b"", b"\0\0\0\4\0\0\0\0\0"])
def test_only_what_greets_as_ray_does_is_taken_for_a_cluster(
    answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", host)
        monkeypatch.setattr(address, "LIMIT_S", 5.0)
        if answer is not None:
            head.listen()

            def greet(answer: bytes = answer) -> None:
                with head.accept()[0] as caller:
                    caller.recv(1000)
                    caller.sendall(answer)

            threading.Thread(target=greet, daemon=True).start()
        if answer and answer[3:4] == b"\4":
            check_ray()
        else:
            with pytest.raises(InputError, match=f"RAY_ADDRESS {host}: no Ray cluster is there"):
                check_ray()


def test_a_folder_too_long_for_rays_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", f"/tmp/{'x' * 60}")
    with pytest.raises(InputError, match="use a shorter folder"):
        check_ray()
