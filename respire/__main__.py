"""Every command by its name: ``python -m respire full --quick``."""

import sys

from respire.command import benchmarks, imports, questions

COMMANDS = {
    "full": "The whole of RespireNet on one split.",
    "seed_variance": "How far can a Score be trusted, and does one recipe beat another?",
    "ablation": "What is each of the paper's techniques worth?",
    "window_length": "How long should the network listen?",
    "image_size": "What is a larger image worth?",
    "device_finetuning": "What does fine-tuning for each device bring?",
    "single_device": "Does one device teach the others?",
    "leakage": "What are five shortcuts worth?",
    "attention_maps": "Does clipping blank rows move a network's attention?",
    "search": "Which recipe holds across patient splits, and not on one lucky split?",
    "audit": "What is the data set made of, and is what the paper says about it true?",
    "benchmark": "How fast and how large is every part of respire on this machine?",
    "import": "Anyone's recordings as one manifest, which --data takes.",
    "scale": "What does a run need on thousands of hours of recordings?",
}
"""What each asks."""


def main() -> None:
    """Run the command that is named first; without one, say which there are."""
    name = sys.argv[1].replace("-", "_") if len(sys.argv) > 1 else ""
    if name in COMMANDS:
        sys.argv[:2] = [f"respire {name}"]
        if name == "import":
            imports.command(COMMANDS[name])
        room = questions if hasattr(questions, name) else benchmarks
        getattr(room, name)(COMMANDS[name])
    print("python -m respire COMMAND [--help]\n")
    for command, question in COMMANDS.items():
        print(f"  {command:<18} {question}")
    sys.exit(0 if name in ("", "__help", "_h") else 2)


if __name__ == "__main__":
    main()
