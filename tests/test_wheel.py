"""A wheel, as which others get respire: it carries what the package reads, and runs by itself."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from commands import EXPERIMENTS, finished
from small_run import FULL, SMALL, results_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = EXPERIMENTS.parent
SOURCE = ("pyproject.toml", "README.md", "LICENSE", "respire")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel of this tree installs; built from a copy, since building leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    subprocess.run([*command, "--wheel-dir", folder, tree], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def test_it_carries_every_module_page_and_table_of_the_package(installed: Path) -> None:
    def carried(folder: Path) -> set[Path]:
        files = (file for kind in ("py", "html", "toml") for file in folder.rglob(f"*.{kind}"))
        return {file.relative_to(folder) for file in files}

    package = carried(ROOT / "respire")
    assert {".py", ".html"} <= {file.suffix for file in package}
    assert carried(installed / "respire") == package
    assert (installed / "respire" / "py.typed").exists()


def test_the_quick_experiment_runs_from_it_outside_the_tree(
    installed: Path, corpus: Path, tmp_path: Path
) -> None:
    script = shutil.copy(EXPERIMENTS / FULL, tmp_path)
    where = "import respire, sys; sys.exit(not respire.__file__.startswith(sys.argv[1]))"
    settings = {"PYTHONPATH": str(installed)}
    subprocess.run([sys.executable, "-c", where, installed], cwd=tmp_path, env=settings, check=True)
    command = ("--quick", "--data", str(corpus), *SMALL, "--recipe.optimisation.epochs", "1")
    done = finished(str(script), tmp_path, *command, **settings)
    assert done.returncode == 0, done.stderr
    assert results_in(tmp_path)["stages"]["stage2"]["overall"]["n"] > 0
    (page,) = tmp_path.glob("runs/full/*/report.html")
    assert "<table" in page.read_text()
