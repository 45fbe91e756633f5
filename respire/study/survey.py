"""Survey: an experiment that trains nothing, and so needs neither Ray nor MLflow."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import respire
from respire.data.corpora.corpus import Corpus
from respire.recipe.identity import NUMERICS_VERSION
from respire.report.page import Page, strict
from respire.report.typed import Header, stored
from respire.report.wording import worded
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
        found: Any,
        page: Callable[[Mapping[str, Any]], Page],
        *,
        warnings: Sequence[str] = (),
        skipped: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Write results.json and report, and tell the user of them.

        Args:
            found: the summary of what it found: a dataclass, its fields the keys of results.json.
            page: the report, given the content of results.json.
            warnings: beside the corpus's.
            skipped: recordings left out beside the corpus's, one line each.

        Returns:
            The content of results.json.
        """
        results = content(
            found,
            experiment=self.question,
            name=self.name,
            key=self.key,
            selection="",
            stamps=(),
            warnings=(*self.corpus.warnings, *warnings),
            skipped=(*self.corpus.skipped, *skipped),
            seconds=self.stopwatch.rounded,
            peak_memory_mib=round(own_peak_mib(), 1),
            groups=self.corpus.groups,
            environment={"torch": version("torch"), "python": platform.python_version()},
        )
        worded(page(results), results["groups"]).write(self.folder)
        print(f"report: {(self.folder / 'report.html').shown}", flush=True)
        return results


def content(found: Any, **header: Any) -> dict[str, Any]:
    """The content of results.json.

    Args:
        found: the summary of what was found.
        header: fields of ``Header`` but for the versions.
    """
    versions: Any = {"respire_version": respire.__version__, "numerics_version": NUMERICS_VERSION}
    return strict(stored(Header(**versions, **header)) | stored(found))
