"""What a user sees of a training under way."""

from dataclasses import dataclass

from respire.metrics import percent
from respire.runtime.resources import own_peak_mib
from respire.runtime.session import Queue
from respire.runtime.tracking import EpochLogger
from respire.training.checkpoint import DAMAGED
from respire.training.loop import HOST_BANK, Row


@dataclass(frozen=True)
class EpochReport:
    """What happens after each epoch, in the process that trains: a line, and MLflow.

    Attributes:
        run: "stage1" or the fine-tuning trial.
        epochs: how many there will be at most.
        selection: the side that chooses among them.
        log: the nested MLflow run.
        lines: what the user sees (session.console).
    """

    run: str
    epochs: int
    selection: str
    log: EpochLogger
    lines: Queue

    def __call__(self, row: Row) -> None:
        """Report a row of ``Fit.history``."""
        epoch = int(row["epoch"])
        left = row["seconds"] * (self.epochs - epoch)
        score = row.get(f"{self.selection}_score")
        chosen = "" if score is None else f", {self.selection} Score {percent(score)}%"
        kept = ", recordings in host memory" if HOST_BANK in row else ""
        if row.get(DAMAGED):
            self.lines.put_nowait(
                f"{self.run}: {row[DAMAGED]:.0f} checkpoint damaged; goes on from the one "
                f"before, with epoch {epoch}"
            )
        self.lines.put_nowait(
            f"{self.run}: epoch {epoch}/{self.epochs}, loss {row['train_loss']:.3f}{chosen}, "
            f"{row['seconds']:.1f} s{kept}, about {left:.0f} s left"
        )
        metrics = {name: value for name, value in row.items() if name != "epoch"}
        self.log(epoch, metrics | {"peak_memory_mib": own_peak_mib()})
