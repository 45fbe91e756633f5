"""Where a run is kept: found by all that can change its numbers, or by a name that is its own."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from respire.errors import InputError
from respire.recipe.identity import NUMERICS_VERSION, digest, flatten
from respire.runtime.storage import Storage


@dataclass(frozen=True)
class RunFolder:
    """One run, finished or under way, in ``STORAGE/cells/KEY``.

    Its identity is JSON-able: all that can change the run's numbers.
    """

    store: Storage
    identity: dict[str, Any]

    @cached_property
    def key(self) -> str:
        """Digest of the identity and of the version of our mathematics."""
        return digest({**self.identity, "numerics_version": NUMERICS_VERSION})

    @property
    def storage(self) -> Storage:
        """The cell's folder."""
        return self.store / "cells" / self.key

    def exists(self, name: str) -> bool:
        """Whether something is kept under the name."""
        return (self.storage / f"{name}.pt").exists()

    def delete(self, name: str) -> None:
        """Forget what is kept under the name."""
        (self.storage / f"{name}.pt").delete()

    def load(self, name: str) -> dict[str, Any] | None:
        """What ``save`` kept under the name, or None.

        Raises:
            InputError: the file is damaged.
        """
        if not self.exists(name):
            return None
        file = self.storage / f"{name}.pt"
        try:
            return load_state(file.read_bytes())
        except ValueError as error:
            raise InputError(
                f"{file.uri}: damaged ({error}); delete it, and the same command makes it again"
            ) from error

    def check_room(self, weights: dict[str, torch.Tensor]) -> None:
        """Whether what failed may have failed for want of room: try to keep weights.

        Raises:
            InputError: they cannot be written.
        """
        self.save("room", weights)
        self.delete("room")

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Keep tensors, numbers and containers, whole or not at all."""
        identity = self.storage / "identity.json"
        if not identity.exists():
            identity.write_json(self.identity)
        (self.storage / f"{name}.pt").write_bytes(dump_state(state))


def claim(folder: Storage, identity: Mapping[str, Any]) -> None:
    """Make the folder of its name a run's own, and this process the one that runs it.

    Raises:
        InputError: the name belongs to a run that differs, with the differences, or to one that
            another process is running.
    """
    folder.hold("runs under this --name", ", or choose another --name")
    kept = folder / "identity.json"
    # As it will be read back: JSON knows no tuples.
    ours = json.loads(json.dumps({**identity, "numerics_version": NUMERICS_VERSION}))
    if kept.exists():
        theirs, now = flatten(kept.read_json()), flatten(ours)
        changed = [
            f"{field} was {theirs.get(field)}, is {now.get(field)}"
            for field in dict.fromkeys((*now, *theirs))
            if theirs.get(field) != now.get(field)
        ]
        if changed:
            raise InputError(
                f"{folder.uri}: another run has this --name ({'; '.join(changed)}); "
                f"choose another --name"
            )
    else:
        kept.write_json(ours)


def dump_state(state: dict[str, Any]) -> bytes:
    """A state as torch.save writes it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(content: bytes) -> dict[str, Any]:
    """The state that ``dump_state`` wrote, on the CPU; nothing but data is unpickled.

    Raises:
        ValueError: a byte is not as it was written; torch itself does not look at the checksums.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(str(error)) from error
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is not that of its content")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
