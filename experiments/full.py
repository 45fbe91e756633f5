"""The whole of RespireNet on one split: stage 1, four device-specific fine-tunings, evaluation.

Recordings are cut into cycles, a common model is trained on all devices (stage 1) and fine-tuned
for each (stage 2), and both are scored on patients that chose nothing, beside baselines that hardly
listen. Ends with a report, its figures and MLflow runs; the same command resumes after any kill.
"""

from respire.command.command import Options, command


def main(options: Options) -> None:
    """Run it, and print the table of the report."""
    from respire.experiments.full.report import (
        table,  # torch and Ray take seconds to import; --help does not
    )
    from respire.study.experiment import run_experiment

    print(table(run_experiment("full", options)))


if __name__ == "__main__":
    command(Options, main, __doc__)
