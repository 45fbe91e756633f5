"""Cell: the place of one run in storage, found by everything that can change its numbers."""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from respire.recipe import NUMERICS_VERSION
from respire.storage import Storage

CHECKPOINT_SECONDS = 15.0
"""A run under way is saved when what was saved last is this old: weights are large."""


@dataclass(frozen=True)
class Cell:
    """One run, finished or under way, in ``STORAGE/cells/KEY``.

    Attributes:
        store: the experiment's storage.
        identity: JSON-able; all that can change the run's numbers.
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
        """What ``save`` kept under the name, or None."""
        if not self.exists(name):
            return None
        return load_state((self.storage / f"{name}.pt").read_bytes())

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Keep tensors, numbers and containers, whole or not at all."""
        identity = self.storage / "identity.json"
        if not identity.exists():
            identity.write_json(self.identity)
        (self.storage / f"{name}.pt").write_bytes(dump_state(state))


def digest(value: Any) -> str:
    """16 hexadecimal digits of a JSON-able value."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def dump_state(state: dict[str, Any]) -> bytes:
    """A state as torch.save writes it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(content: bytes) -> dict[str, Any]:
    """The state that ``dump_state`` wrote, on the CPU; nothing but data is unpickled."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
