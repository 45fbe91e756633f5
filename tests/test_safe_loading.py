"""Files that others may have written are read as data, and unpacked where they belong."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    file
    for folder in ("respire", "experiments", "cluster")
    for file in (ROOT / folder).rglob("*.py")
)
UNPACKS = {"extract", "extractall", "unpack_archive"}
UNPICKLES = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}


def unsafe(source: str, may_unpack: bool = False) -> list[str]:
    """Calls in a module's source that run, or write outside its folder, what a file says."""
    return [
        f"line {call.lineno}: {ast.unparse(call)}"
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and any(_objections(call, may_unpack))
    ]


def _objections(call: ast.Call, may_unpack: bool) -> Iterator[bool]:
    *owner, name = ast.unparse(call.func).split(".")
    options = {of.arg: ast.unparse(of.value) for of in call.keywords}
    yield owner[-1:] == ["torch"] and name == "load" and options.get("weights_only") != "True"
    yield name in ("load", "loads") and bool(UNPICKLES & set(owner))
    yield options.get("allow_pickle") == "True"
    yield name in UNPACKS and not may_unpack


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_nothing_but_data_is_loaded_and_one_place_unpacks(module):
    # It looks at every member first (tests/data/corpora/test_icbhi_download.py).
    may_unpack = module == ROOT / "respire" / "data" / "corpora" / "icbhi_download.py"
    assert unsafe(module.read_text(), may_unpack) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pickle.loads(content)",
        "np.load(path, allow_pickle=True)",
        "zipfile.ZipFile(path).extractall(folder)",
        "shutil.unpack_archive(path)",
    ],
)
def test_what_must_not_be_is_found(line):
    assert unsafe(f"def f():\n    return {line}") == [f"line 2: {line}"]


@pytest.mark.parametrize(
    "line", ["torch.load(p, weights_only=True)", "json.loads(t)", "np.load(p)"]
)
def test_what_may_be_is_not_complained_of(line):
    assert unsafe(line) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_no_module_opens_a_server_to_other_machines(module):
    assert "0.0.0.0" not in module.read_text()
