"""A table of the paper: trained, compared, reported."""

from collections.abc import Sequence

from respire.data.corpora.corpus import Corpus, open_corpus
from respire.evaluation.assess import EVERY
from respire.experiments.paper_tables.contrasts import summarise
from respire.experiments.paper_tables.question import Question
from respire.experiments.paper_tables.report import page, summary
from respire.study.grid import Extent, start_grid
from respire.study.one_run import PREDICTIONS
from respire.study.place import Place
from respire.study.tested import keep_all_predictions


def run_table(
    experiment: str,
    question: Question,
    rows: Sequence[str] | None,
    extent: Extent,
    place: Place,
    name: str | None = None,
    corpus: Corpus | None = None,
) -> str:
    """Train what is not trained yet, and write the report; the same arguments resume.

    Args:
        experiment: its name.
        question: what is compared.
        rows: names of the rows to fill, with those that they are compared with; None for all.
        extent: how many splits and seeds.
        place: where things are.
        name: the run's own; None for one made of variants and key.
        corpus: the recordings, where the question hung on their devices; None for the place's. The
            official split's rows are left out where nothing tells official sides.

    Returns:
        The report's sentences and tables.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
        FloatingPointError: some runs failed; all others are kept.
    """
    if corpus is None and place.data is not None:
        corpus = open_corpus(place.data, place.skip_bad)
    if rows is not None:
        question = question.only(rows)
    elif corpus is not None and not corpus.has_official:
        question = question.unlisted()
    with start_grid(
        experiment, question.variants, extent, place, name, question.check, corpus
    ) as grid:
        grid.run()
        table = summarise(grid, question)
        keep_all_predictions(grid.experiment.folder / PREDICTIONS, grid.runs)
        results = grid.experiment.finish(
            table,
            page,
            {f"{row.name}.{name}": getattr(row, name) for row in table.rows for name in EVERY},
            files=(PREDICTIONS,),
        )
    return summary(results)
