"""Put the published recordings where every node reads them. Run it once, on the head."""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyarrow import fs

from respire.data.corpora.icbhi_download import download
from respire.errors import InputError
from respire.experiments.audit.claims import RECORDINGS
from respire.runtime.storage import Storage


def names_below(target: Storage) -> set[str]:
    """Names of all files below; none where nothing is there."""
    filesystem, path = target.filesystem()
    found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    return {file.base_name for file in found if file.type == fs.FileType.File}


def put(target: Storage) -> None:
    """Download the data set and copy what is not there yet, each file whole or not at all."""
    there = names_below(target)
    recordings = {Path(name).stem for name in there if name.endswith((".wav", ".flac"))}
    if len([name for name in recordings if f"{name}.txt" in there]) >= RECORDINGS:
        print(f"{target.shown}: all {RECORDINGS} recordings are there, nothing to do")
        return
    source = download()
    missing = [file for file in source.rglob("*") if file.is_file() and file.name not in there]
    print(f"{target.shown}: {len(there)} files are there, copying {len(missing)}", flush=True)

    def copy(file: Path) -> None:
        (target / file.relative_to(source).as_posix()).write_bytes(file.read_bytes())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(copy, missing))
    print(f"{target.shown}: done")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    data = os.environ.get("RESPIRE_DATA")
    parser.add_argument("--data", default=data, help="folder or URI (default: $RESPIRE_DATA)")
    where = parser.parse_args().data
    if not where:
        parser.error("--data is not given, nor is RESPIRE_DATA set")
    try:
        put(Storage.at(where))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
