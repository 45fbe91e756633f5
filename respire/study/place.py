"""Place: where recordings, results and runs are, and what computes."""

from dataclasses import dataclass, replace
from typing import Literal

from respire.runtime.choices import Gpu
from respire.runtime.compute import Compute
from respire.runtime.storage import Storage


@dataclass(frozen=True)
class Place:
    """Where things are; nothing here changes a number but what the processor rounds.

    Attributes:
        data: manifest, folder or URI (data/corpora/corpus.py); "synthetic"; None for the published
            data set, which is downloaded.
        storage: folder or URI for everything that is kept.
        tracking: MLflow's store: a server's address, or an sqlite file; None for none, which
            no experiment can do with.
        skip_bad: whether recordings with errors are left out, and listed.
        gpu: "auto", GPUs where there are any; "none"; "required", as many as workers.
        workers: stage 1's training workers.
        deterministic: whether training gives the same bits again on a GPU too.
    """

    data: str | None = None
    storage: str = "runs"
    tracking: str | None = "sqlite:///mlflow.db"
    skip_bad: bool = False
    gpu: Gpu = "auto"
    workers: int = 1
    deterministic: bool = False

    @property
    def home(self) -> Storage:
        """The storage."""
        return Storage.at(self.storage)

    def compute(self, precision: Literal["auto", "fp32", "bf16"]) -> Compute:
        """The processor that trains, in the cluster; the driver's machine may have no GPU.

        Args:
            precision: the recipe's.

        Raises:
            InputError: the precision cannot be had on it, or a GPU is required and gone.
        """
        from respire.runtime.session import cluster_gpus, on_worker  # a place needs no Ray

        if self.gpu == "required" or (self.gpu == "auto" and cluster_gpus() > 0):
            found = on_worker(Compute.resolve, self.gpu, precision, gpu=True)
        else:
            found = Compute.resolve("none", precision)
        return replace(found, deterministic=self.deterministic)
