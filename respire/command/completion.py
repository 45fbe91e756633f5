"""What a shell needs to complete commands and their options."""

import io
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module

import tyro

from respire.command.parse import RULES

SHELLS = ("bash", "zsh", "tcsh")
_OPTIONS = "COMPLETION_SPEC = "
"""What tyro's line with all options begins with; bash takes each line of a help text for a word."""
_FILES = ("complete -F ", "complete -o default -F ")
"""So that bash offers files where no option fits; and, for that, no empty word."""
_NOTHING = ('matches+=("$completion")', '[[ -n $completion ]] && matches+=("$completion")')


def completion(arguments: Sequence[str], commands: Mapping[str, tuple[str, str]]) -> str:
    """A shell's completion script; ends the process, with status 2, where it knows no such shell.

    Args:
        arguments: the shell's name.
        commands: as they are typed, the file of this room and the name that each has there.
    """
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        print(f"error: completion: name one of {', '.join(SHELLS)}", file=sys.stderr)
        sys.exit(2)
    options = {
        typed: getattr(import_module(f"respire.command.{room}"), name).options
        for typed, (room, name) in commands.items()
    }
    script = io.StringIO()
    with redirect_stdout(script), suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(
            options,
            prog="respire",
            args=["--tyro-print-completion", *arguments],
            registry=RULES,
        )
    lines = script.getvalue().splitlines()
    told = [line.replace(r"\n", " ") if line.startswith(_OPTIONS) else line for line in lines]
    text = "\n".join(told) + "\n"
    return text.replace(*_FILES).replace(*_NOTHING)
