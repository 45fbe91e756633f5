"""What belongs to a run by its name, and which splits can be asked for."""

from pathlib import Path

import pytest

from respire.errors import InputError
from respire.runtime.run_folder import claim
from respire.runtime.storage import Storage

WHOLE = {"split 0": "cafe", "split 1": "beef", "stages": ["stage1"]}
LESS = {name: WHOLE[name] for name in ("split 0", "stages")}


@pytest.mark.parametrize(("first", "second"), [(WHOLE, LESS), (LESS, WHOLE)])
def test_a_name_belongs_to_the_whole_of_what_was_run_under_it(
    tmp_path: Path, first: dict[str, object], second: dict[str, object]
) -> None:
    folder = Storage.at(tmp_path / "run")
    claim(folder, first)
    kept = (tmp_path / "run" / "identity.json").read_text()
    claim(folder, first)
    with pytest.raises(InputError, match=r"another run has this --name \(split 1 was .*, is "):
        claim(folder, second)
    assert (tmp_path / "run" / "identity.json").read_text() == kept
