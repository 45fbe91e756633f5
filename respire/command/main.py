"""A command from its arguments to its exit status."""

import atexit
import gc
import io
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import NoReturn

from respire.command.parse import O, parse
from respire.errors import InputError, RunError, without_credentials

RESUMES = "interrupted; the same command resumes it"


def command(
    options: type[O], question: Callable[[O], None], description: str, interrupted: str = RESUMES
) -> NoReturn:
    """Run an experiment from the command line.

    Exits with 0 only if all was done, with 1 after an error, with 2 after bad input, told in one
    line, and with 130 when interrupted, which ``interrupted`` says.
    """
    concluded(lambda: question(parse(options, sys.argv[1:], description)), interrupted)


def concluded(work: Callable[[], None], interrupted: str = RESUMES) -> NoReturn:
    """Do a command's work, and exit with its status."""
    # Python's last collections walk through all of torch, for seconds, to free what ends anyway.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal lacks ends no run
            stream.reconfigure(errors="replace")
    try:
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (FloatingPointError, RunError) as error:  # training diverged, or nothing came of it
        print(f"error: {without_credentials(str(error))}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # told above: whoever read what is printed has enough
        raise
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        sys.exit(130)
    except Exception:
        sys.stderr.write(without_credentials(traceback.format_exc()))
        sys.exit(1)
    sys.exit(0)


def asked_with(
    options: type[O], interrupted: str = RESUMES
) -> Callable[[Callable[[O], str]], Callable[[str], NoReturn]]:
    """Make a question, which gives the text that is printed last, a command of a description."""

    def commanded(question: Callable[[O], str]) -> Callable[[str], NoReturn]:
        @wraps(question)
        def asked(description: str) -> NoReturn:
            def told(given: O) -> None:
                print(question(given), flush=True)

            command(options, told, description, interrupted)

        asked.__dict__["options"] = options  # completion reads it
        return asked

    return commanded
