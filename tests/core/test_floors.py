"""Which room may import which: arrows point down the flow only (respire/README.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import respire

PACKAGE = Path(respire.__file__).parent
FLOORS = [
    {"errors"},
    {"labels"},
    {"metrics", "statistics", "recipe"},
    {"runtime"},
    {"report", "data"},
    {"features", "models"},
    {"training"},
    {"evaluation"},
    {"inference"},
    {"study"},
    {"benchmark", "experiments"},
    {"command"},
    {"__main__"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
ONLY = {
    "ray": (
        "runtime/session",
        "runtime/actors",
        "data/cycles",
        "training/stage1",
        "training/stage2",
        "study/answer",
        "experiments/search/trials",
    ),
    "mlflow": ("runtime/tracking", "runtime/tracking_store", "runtime/model_registry"),
    "tyro": ("command",),
    "optuna": ("experiments/search",),
    "soundfile": ("data/audio", "data/corpora/synthetic"),
}
"""Who alone may import a library: a file, or all files of a room."""
NO_TORCH = ("statistics", "report", "labels")
PARTS = ("summary", "tables", "figures", "report", "run")
"""Of a question, from the bottom up."""
ROOT_FILES = 4
LONGEST = 300


class Import(NamedTuple):
    """``name`` of ``module``; of a plain ``import module``, nothing."""

    module: str
    name: str

    @property
    def path(self) -> tuple[str, ...]:
        """Below the package: room, file, name; () for what is not ours."""
        parts = (*self.module.split("."), *([self.name] if self.name else []))
        return parts[1:] if parts[0] == "respire" else ()


FILES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
"""All files of the package, by name without suffix."""
everywhere = pytest.mark.parametrize("file", FILES)


def imports_of(file: str) -> Iterator[Import]:
    """Every import in a file, wherever in it."""
    for node in ast.walk(ast.parse(FILES[file].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports name the package"
            yield from (Import(str(node.module), alias.name) for alias in node.names)


def room_of(file: str) -> str:
    return file.split("/")[0]


@everywhere
def test_a_file_imports_from_its_own_room_and_from_lower_floors(file: str) -> None:
    if file == "__init__":  # the face shows others' names, and imports them when they are asked for
        return
    room = room_of(file)
    for path in (found.path for found in imports_of(file)):
        if path and path != ("__version__",) and path[0] != room:
            assert FLOOR_OF[path[0]] < FLOOR_OF[room], f"{file} imports {'.'.join(path)}"


@everywhere
def test_questions_do_not_import_one_another_and_their_parts_point_down(file: str) -> None:
    if not file.startswith("experiments/") or file.count("/") < 2:
        return
    _, question, part = file.split("/")
    for path in (found.path for found in imports_of(file)):
        if path[:1] == ("experiments",):
            assert path[1] == question, f"{file} imports {'.'.join(path)}"
            if part in PARTS and path[2] in PARTS:
                assert PARTS.index(path[2]) < PARTS.index(part), f"{file} imports {path[2]}"


@everywhere
def test_some_libraries_are_imported_by_few(file: str) -> None:
    for found in imports_of(file):
        allowed = ONLY.get(found.module.split(".")[0])
        assert allowed is None or any(f"{file}/".startswith(f"{place}/") for place in allowed), (
            f"{file} imports {found.module}"
        )


@everywhere
def test_numbers_and_reports_know_no_torch(file: str) -> None:
    if room_of(file) in NO_TORCH:
        modules = {found.module.split(".")[0] for found in imports_of(file)}
        assert not modules & {"torch", "torchvision", "torchaudio"}


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith("/__init__")])
def test_a_rooms_door_says_what_it_holds_and_imports_nothing(file: str) -> None:
    tree = ast.parse(FILES[file].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_few_files_lie_at_the_root() -> None:
    root = {file for file in FILES if "/" not in file} - {"__init__", "__main__"}
    assert len(root) <= ROOT_FILES
    rooms = {room_of(file) for file in FILES} - {"__init__"}
    assert rooms <= FLOOR_OF.keys()


@everywhere
def test_a_file_can_be_read_in_one_sitting(file: str) -> None:
    assert len(FILES[file].read_text(encoding="utf-8").splitlines()) <= LONGEST
