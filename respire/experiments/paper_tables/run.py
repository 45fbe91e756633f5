"""A table of the paper, from options to report."""

from respire.command.command import TableOptions
from respire.experiments.paper_tables.question import Question
from respire.experiments.paper_tables.report import summary, write_report
from respire.experiments.paper_tables.summary import summarise
from respire.report.page import strict
from respire.study.grid import start_grid


def run_table(experiment: str, options: TableOptions, question: Question) -> str:
    """Train what is not trained yet, and write the report; the same options resume.

    Args:
        experiment: its name.
        options: from the command line.
        question: what is compared.

    Returns:
        The report's sentences and tables.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
        FloatingPointError: some runs failed; all others are kept.
    """
    question = question.only(options.rows)
    with start_grid(experiment, options, question.variants) as grid:
        with grid.setting.stopwatch.part("runs"):
            grid.run()
        results = strict(summarise(grid, question, experiment))
        figures = write_report(results, grid.folder)
        grid.tracker.log_stamps(results["stamps"], results["warnings"])
        grid.tracker.log_metrics({f"{row['name']}.score": row["score"] for row in results["rows"]})
        grid.tracker.log_files(grid.folder, "results.json", "report.md", "report.html", *figures)
        grid.setting.announce(grid.folder / "report.html", grid.tracker)
    return summary(results)
