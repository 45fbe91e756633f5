"""Anyone's recordings: a folder with one CSV, a row a cycle.

Its columns are file (from the folder on), patient, start and end in seconds, crackle and wheeze
0 or 1, and, where they are known, device and any other of the manifest's (data/manifest.py).
"""

import pandas as pd
from pyarrow import fs

from respire.data.catalogue import BARE
from respire.data.corpora.source import decoded
from respire.data.manifest import LABELS, complete, folder_of, read_rows
from respire.errors import InputError
from respire.runtime.storage import Storage

NEEDED = ("file", "patient", "start", "end", "crackle", "wheeze")
_CALLED = {"file": "recording", "patient": "group", "start": "start_s", "end": "end_s"}
_FLAGS = ("0", "1")


def find(directory: str) -> Storage | None:
    """The one CSV of the folder that has the columns; None where there is none.

    Raises:
        InputError: there are several.
    """
    folder = Storage.at(directory)
    filesystem, path = folder.filesystem()
    try:
        files = filesystem.get_file_info(fs.FileSelector(path))
        tables = [
            folder / file.base_name
            for file in files
            if file.base_name.lower().endswith(".csv")
            and not file.base_name.startswith(".")
            and set(NEEDED) <= set(_head(filesystem, file.path))
        ]
    except OSError:
        return None
    if len(tables) > 1:
        names = " and ".join(sorted(table.uri for table in tables))
        raise InputError(f"{names}: two tables of cycles; keep one")
    return tables[0] if tables else None


def _head(filesystem: fs.FileSystem, path: str) -> list[str]:
    with filesystem.open_input_stream(path) as stream:
        first = stream.read(4096).partition(b"\n")[0]
    try:
        return [name.strip() for name in decoded(first).split(",")]
    except ValueError:
        return []


def manifest(table: Storage, corpus: str) -> pd.DataFrame:
    """The CSV's rows as a complete manifest.

    Raises:
        InputError: a row is wrong, or the corpus may not be called so.
    """
    if corpus == BARE:
        raise InputError(f"{table.uri}: corpus {BARE} is ICBHI 2017; name it otherwise")
    rows = read_rows(table).rename(columns=_CALLED)
    for name in ("crackle", "wheeze"):
        bad = ~rows[name].str.strip().isin(_FLAGS)
        if bad.any():
            first = rows.loc[bad, name]
            raise InputError(
                f"{table.uri}, row {first.index[0]}: {name} {first.iloc[0]!r} must be 0 or 1; "
                f"correct it"
            )
    crackle, wheeze = (rows.pop(name).str.strip() for name in ("crackle", "wheeze"))
    label = crackle.astype(int) + 2 * wheeze.astype(int)
    rows["label"] = label.map(dict(enumerate(LABELS)))
    rows["raw_label"] = crackle + " " + wheeze
    return complete(rows, table.uri, folder_of(table), corpus)
