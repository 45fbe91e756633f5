"""Make the README's rows and pictures: ``python -m respire.experiments.readme``, at the root."""

from pathlib import Path

from respire.experiments.readme.figures import score_by_split, strip
from respire.experiments.readme.rows import SEEDS, read, with_rows
from respire.experiments.readme.window import synthetic_window
from respire.report.style import png

README, RESULTS = Path("README.md"), Path("experiments/results")

if __name__ == "__main__":
    README.write_text(with_rows(README.read_text(), RESULTS))
    scores, pictures = read(RESULTS, SEEDS), RESULTS / "pictures"
    (pictures / "score-by-split.png").write_bytes(png(score_by_split(scores)))
    (pictures / "pipeline.png").write_bytes(png(strip(synthetic_window())))
