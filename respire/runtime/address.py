"""Whether Ray can start or be joined where the environment says, asked in seconds.

Ray itself tries for minutes to reach a cluster that is gone, and says nothing meanwhile.
"""

import os
import re
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

from respire.errors import InputError

LIMIT_S = 5.0
"""Seconds an address has to take a call."""
ANSWER_S = 25.0
"""Seconds a cluster has to tell its status, of which loading Ray to ask for it takes some."""
_LONGEST_SOCKET = 107
"""Bytes of a socket's path on Linux (``man 7 unix``); elsewhere it is less."""
_SESSION = "/ray/session_2026-11-30_12-00-00_000000_4194304/sockets/plasma_store"
"""What Ray adds to its folder."""
REMEDY = "unset RAY_ADDRESS, or set it to local, to start Ray on this machine"


def check_ray() -> None:
    """Refuse a RAY_ADDRESS or a RAY_TMPDIR that cannot be used, or a cluster here that is gone.

    Raises:
        InputError: no cluster answers at the address within seconds, or it is none that respire
            joins; or the folder's name is too long.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    variable = "RAY_TMPDIR" if "RAY_TMPDIR" in os.environ else "TMPDIR"
    folder = os.environ.get(variable, "/tmp")
    if len(f"{folder}{_SESSION}".encode()) > _LONGEST_SOCKET:
        raise InputError(
            f"{variable} {folder}: Ray's sockets there would have names of more than "
            f"{_LONGEST_SOCKET} bytes; set RAY_TMPDIR to a shorter folder, such as /tmp"
        )
    note = Path(folder, "ray", "ray_current_cluster")
    if address == "local" or (address == "" and not note.exists()):
        return
    if address == "":  # Ray looks there for a cluster that was started on this machine
        here = note.read_text().strip()
        if problem := _problem(here):
            raise InputError(
                f"{note}: the Ray cluster at {here} is gone ({problem}); remove what is left of it "
                f"with `ray stop`, or set RAY_ADDRESS to local to start Ray on this machine"
            )
        return
    if address.startswith("ray://"):
        raise InputError(
            f"RAY_ADDRESS {address}: respire runs in a cluster, not as its client from outside; "
            f"use `ray submit` or `ray job submit`, or {REMEDY}"
        )
    if problem := _problem(address):
        raise InputError(
            f"RAY_ADDRESS {address}: no Ray cluster can be joined there ({problem}); {REMEDY}"
        )


@cache
def _problem(address: str) -> str:
    """Why no cluster is there; "" if one is. Asked once."""
    if address != "auto":
        parts = re.fullmatch(r"\[?([^\s\[\]/]+)\]?:([0-9]{1,5})", address)
        if parts is None:
            return "it is no HOST:PORT"
        try:
            socket.create_connection((parts[1], int(parts[2])), LIMIT_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            return str(getattr(error, "strerror", None) or error)
    # In a process of its own: Ray cannot be interrupted where it waits for an answer.
    asking = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        subprocess.run(asking, capture_output=True, check=True, timeout=ANSWER_S)
    except subprocess.TimeoutExpired:
        return f"no answer to `ray status` in {ANSWER_S:.0f} s"
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return said or "`ray status` fails there"
    return ""
