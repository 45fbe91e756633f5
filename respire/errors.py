"""The one exception a user is meant to read, and what no message may repeat."""

import re

_WHO = re.compile(r"(?<=://)[^\s@/:]*(?::\S*)?@")
"""User and password of a URI; a secret key may hold slashes, so all up to the last ``@``."""
_SECRET = re.compile(r"([?&][^\s=&]*(?:key|password|secret|sig|token)[^\s=&]*=)[^\s&]+", re.I)
"""An option of a URI that lets others in, its value last."""


def without_credentials(text: str) -> str:
    """The text without user, password and secret options of the URIs in it.

    Every message of an ``InputError`` has gone through it, and so must every other text with the
    URI of a storage or tracking store in it that a user, a log or a report gets to see.
    """
    return _SECRET.sub(r"\1...", _WHO.sub("", text))


class InputError(Exception):
    """Bad input or an unusable setting, told in one line: the file, the row, and the remedy.

    Every command prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(without_credentials(message).split("\n")))


class RunError(Exception):
    """Nothing came of a run, told in one line; every command exits with status 1."""


REMEDY = "correct it, or leave the recording out with --skip-bad"
"""How the messages about a bad file end."""
