"""Survey: an experiment that trains nothing, and so needs neither Ray nor MLflow."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import respire
from respire.data.corpora.corpus import Corpus
from respire.recipe.identity import NUMERICS_VERSION
from respire.report.page import strict
from respire.report.typed import Header, stored
from respire.runtime.resources import Stopwatch, own_peak_mib
from respire.runtime.storage import Storage


@dataclass(frozen=True)
class Survey:
    """A survey that has claimed its folder.

    Attributes:
        question: the experiment's.
        name: its own.
        key: of all that can change its numbers.
        folder: where its results go.
        corpus: the recordings.
        stopwatch: times the parts.
    """

    question: str
    name: str
    key: str
    folder: Storage
    corpus: Corpus
    stopwatch: Stopwatch

    def finish(
        self,
        summary: Any,
        write_report: Callable[[dict[str, Any]], object],
        *,
        warnings: Sequence[str] = (),
        skipped: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Write results.json and report, and tell the user of them.

        Args:
            summary: a dataclass, its fields the keys of results.json.
            write_report: given all results, writes them with a page and figures.
            warnings: beside the corpus's.
            skipped: recordings left out beside the corpus's, one line each.

        Returns:
            The content of results.json.
        """
        header = Header(
            experiment=self.question,
            name=self.name,
            respire_version=respire.__version__,
            numerics_version=NUMERICS_VERSION,
            key=self.key,
            selection="",
            stamps=(),
            warnings=(*self.corpus.warnings, *warnings),
            skipped=(*self.corpus.skipped, *skipped),
            seconds=self.stopwatch.rounded,
            peak_memory_mib=round(own_peak_mib(), 1),
            environment={"torch": version("torch"), "python": platform.python_version()},
        )
        results: dict[str, Any] = strict(stored(header) | stored(summary))
        write_report(results)
        print(f"report: {(self.folder / 'report.html').shown}", flush=True)
        return results
