"""What can be asked of the processor; imports nothing, so that ``--help`` is quick."""

from typing import Literal

Gpu = Literal["auto", "none", "required"]
