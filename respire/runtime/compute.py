"""Which processor computes, and in which precision."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from respire.errors import InputError
from respire.runtime.choices import Gpu

DRIVER = Path("/proc/driver/nvidia/version")
"""Where Linux says which NVIDIA driver is loaded."""
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Compute:
    """A processor, by its own name for reports, and the arithmetic of the network on it.

    The device is "cpu" or "cuda". Precision "bf16" means autocast; weights and optimiser stay fp32.
    A deterministic one trains to the same bits again, or torch refuses an operation that cannot.
    """

    device: str
    precision: Precision
    name: str = "cpu"
    deterministic: bool = False

    @classmethod
    def resolve(cls, gpu: Gpu, precision: Literal["auto", "fp32", "bf16"]) -> "Compute":
        """Choose the device, and for "auto" the precision that is faster on it.

        On a processor with bf16 instructions (AVX512-BF16, AMX) training is about 1.9 times as fast
        in bf16 (ResNet-34, 64x219); without them bf16 is emulated, and slower.

        Raises:
            InputError: bf16 asked of a GPU that cannot; or a GPU is required and there is none.
        """
        if gpu == "required" and not torch.cuda.is_available():
            raise InputError(f"--gpu required: {unseen_gpu()}")
        if gpu != "none" and torch.cuda.is_available():
            native = torch.cuda.is_bf16_supported(including_emulation=False)
            if precision == "bf16" and not native:
                raise InputError(
                    "recipe.optimisation.precision: this GPU has no bf16; use auto or fp32"
                )
            device, name = "cuda", torch.cuda.get_device_name()
        else:
            capabilities = torch.cpu.get_capabilities()
            native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
            device, name = "cpu", str(capabilities.get("cpu_name", "cpu"))
        if precision == "auto":
            precision = "bf16" if native else "fp32"
        return cls(device, precision, name)

    def autocast(self) -> torch.autocast:
        """The context that the network's forward pass runs in."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16")

    def settle(self) -> None:
        """Let this process's torch sum in a fixed order, or in whichever is fastest."""
        torch.use_deterministic_algorithms(self.deterministic)


def unseen_gpu() -> str:
    """That PyTorch finds no GPU on this machine, its version and the driver's, and a remedy."""
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    try:
        found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", DRIVER.read_text())
    except OSError:
        found = None
    driver = f"the NVIDIA driver is {found[0]}" if found else "no NVIDIA driver is loaded"
    return (
        f"PyTorch finds no GPU on {platform.node()}: torch {torch.__version__}, {built}; {driver} "
        f"(CUDA 13 needs 580 or newer; see nvidia-smi); install what fits, or use --gpu none"
    )
