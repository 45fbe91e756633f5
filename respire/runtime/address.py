"""Whether Ray can start or be joined where the environment says, asked in seconds.

Ray itself tries for minutes to reach a cluster that is gone, and says nothing meanwhile.
"""

import os
import re
import socket
from contextlib import closing

from respire.errors import InputError

LIMIT_S = 10.0
"""Seconds a cluster has to answer."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of HTTP/2, which Ray's head speaks, begins, and says that it wants nothing."""
_LONGEST_SOCKET = 107
"""Bytes of a socket's path on Linux (``man 7 unix``); elsewhere it is less."""
_SESSION = "/ray/session_2026-11-30_12-00-00_000000_4194304/sockets/plasma_store"
"""What Ray adds to its folder."""
REMEDY = "unset RAY_ADDRESS, or set it to local, to start Ray on this machine"


def check_ray() -> None:
    """Refuse a RAY_ADDRESS or a RAY_TMPDIR that cannot be used.

    Raises:
        InputError: nobody answers at the address within LIMIT_S, or it is none that respire joins;
            or the folder's name is too long.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    folder = os.environ.get("RAY_TMPDIR", "")
    if len(f"{folder}{_SESSION}".encode()) > _LONGEST_SOCKET:
        raise InputError(
            f"RAY_TMPDIR {folder}: Ray's sockets there would have names of more than "
            f"{_LONGEST_SOCKET} bytes; use a shorter folder, such as /tmp"
        )
    if address in ("", "local", "auto"):
        return
    if address.startswith("ray://"):
        raise InputError(
            f"RAY_ADDRESS {address}: respire runs in a cluster, not as its client from outside; "
            f"use `ray submit` or `ray job submit`, or {REMEDY}"
        )
    parts = re.fullmatch(r"\[?([^\s\[\]/]+)\]?:([0-9]{1,5})", address)
    if parts is None:
        raise InputError(f"RAY_ADDRESS {address}: is no HOST:PORT; {REMEDY}")
    if problem := _problem(parts[1], int(parts[2])):
        raise InputError(f"RAY_ADDRESS {address}: no Ray cluster is there ({problem}); {REMEDY}")


def _problem(host: str, port: int) -> str:
    """Why nothing there can be Ray's head; "" if it can."""
    try:
        with closing(socket.create_connection((host, port), LIMIT_S)) as head:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return ""
            head.sendall(_GREETING)
            answer = head.recv(4)
    except (OSError, OverflowError, UnicodeError) as error:
        return str(getattr(error, "strerror", None) or error)
    # The head greets with its settings, a frame of type 4.
    return "" if len(answer) == 4 and answer[3] == 4 else "something else answers"
