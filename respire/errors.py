"""The one exception a user is meant to read."""


class InputError(Exception):
    """Bad input or an unusable setting, told in one line: the file, the row, and the remedy.

    Every command prints it without a traceback and exits with status 2.
    """
