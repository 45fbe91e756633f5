"""Every command by its name: ``respire full --quick``, or ``python -m respire full --quick``."""

import os
import sys
from importlib import import_module

from respire import __version__

GROUPS = {
    "Your recordings": {
        "predict": "What does a trained model hear in recordings?",
        "import": "Anyone's recordings as one manifest, which --data takes.",
        "audit": "What is the data set made of, and is what the paper says about it true?",
    },
    "How good is a recipe?": {
        "full": "The whole of RespireNet on one split; leaves a model for predict.",
        "seed_variance": "How far can a Score be trusted, and does one recipe beat another?",
        "search": "Which recipe holds across patient splits, and not on one lucky split?",
    },
    "What the paper says": {
        "ablation": "What is each of the paper's techniques worth?",
        "window_length": "How long should the network listen?",
        "image_size": "What is a larger image worth?",
        "device_finetuning": "What does fine-tuning for each device bring?",
        "single_device": "Does one device teach the others?",
        "leakage": "What are five shortcuts worth?",
        "attention_maps": "Does clipping blank rows move a network's attention?",
    },
    "What it costs": {
        "benchmark": "How fast and how large is every part of respire on this machine?",
        "scale": "What does a run need on thousands of hours of recordings?",
    },
}
"""What each asks, in the order of the page."""
COMMANDS = {name: asks for group in GROUPS.values() for name, asks in group.items()}
ELSEWHERE = {
    "predict": ("predictions", "predict"),
    "import": ("imports", "import_corpus"),
    "benchmark": ("benchmarks", "benchmark"),
    "scale": ("benchmarks", "scale"),
}
"""Where in ``command/`` those are that are not in ``questions``: a file is imported when its
command is named, so that this page takes no time."""
PAGE = f"""respire {__version__}: how good is a lung-sound recipe, really?

respire COMMAND [--help]

{{commands}}

respire full --quick shows it in minutes, on synthetic recordings.
respire completion SHELL prints what bash, zsh or tcsh need to complete all this:
  eval "$(respire completion bash)"
"""


def page() -> str:
    """What ``respire --help`` says."""
    groups = [
        "\n".join([title, *(f"  {_typed(name):<18} {asks}" for name, asks in group.items())])
        for title, group in GROUPS.items()
    ]
    return PAGE.format(commands="\n\n".join(groups))


def main() -> None:
    """Run the command that is named first; without one, say which there are."""
    try:
        _run()
    except BrokenPipeError:  # who read has enough, as in `respire --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run() -> None:
    name = sys.argv[1].replace("-", "_") if len(sys.argv) > 1 else ""
    if name in COMMANDS:
        sys.argv[:2] = [f"respire {_typed(name)}"]
        room, function = _place(name)
        getattr(import_module(f"respire.command.{room}"), function)(COMMANDS[name])
    elif name == "completion":
        from respire.command.completion import completion

        places = {_typed(name): _place(name) for name in COMMANDS}
        print(completion(sys.argv[2:], places), flush=True)
    elif name == "__version":
        print(__version__, flush=True)
    else:
        known = name in ("", "__help", "_h")
        if not known:
            print(f"error: {sys.argv[1]}: no such command", file=sys.stderr)
        print(page(), end="", flush=True)
        sys.exit(0 if known else 2)


def _place(name: str) -> tuple[str, str]:
    """The file of ``command/`` and the function in it that a command is."""
    return ELSEWHERE.get(name, ("questions", name))


def _typed(name: str) -> str:
    return name.replace("_", "-")


if __name__ == "__main__":
    main()
