"""Make the README's pictures and result rows anew: ``python -m respire.experiments.readme``.

From the repository's root; README.md and experiments/results/pictures/ are overwritten.
"""

from pathlib import Path

from respire.experiments.readme.figures import score_by_split, strip
from respire.experiments.readme.rows import read, with_rows
from respire.experiments.readme.window import synthetic_window
from respire.report.style import png

README, RESULTS = Path("README.md"), Path("experiments/results")

if __name__ == "__main__":
    README.write_text(with_rows(README.read_text(), RESULTS))
    figures = {
        "score-by-split": score_by_split(read(RESULTS, "seed_variance/small-8x2")),
        "pipeline": strip(synthetic_window()),
    }
    for name, figure in figures.items():
        (RESULTS / "pictures" / f"{name}.png").write_bytes(png(figure))
