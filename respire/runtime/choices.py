"""What a user can choose at every run; imports nothing slow, so that ``--help`` is quick."""

import re
from typing import Literal

from respire.errors import InputError

Gpu = Literal["auto", "none", "required"]
LONGEST_NAME = 128


def check_name(name: str) -> str:
    """The name of a run, which is that of its folder and of nothing above or below it.

    Raises:
        InputError: not one path segment of letters, digits, ``.``, ``_`` and ``-``, or too long.
    """
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{LONGEST_NAME}}}", name) or name in (".", ".."):
        shown = name if len(name) <= LONGEST_NAME else f"{name[:20]}... ({len(name)} characters)"
        raise InputError(
            f"--name {shown!r}: a name is one folder's; use up to {LONGEST_NAME} letters, digits, "
            f"'.', '_' and '-'"
        )
    return name


def run_name(given: str | None, what: str, key: str = "") -> str:
    """The name that a run was given, or one made of what it is and the start of its key.

    Raises:
        InputError: see ``check_name``.
    """
    if given is not None:
        return check_name(given)
    end = f"-{key[:8]}" if key else ""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", what)[: LONGEST_NAME - len(end)] + end
