"""A stand-in for a GPU on machines without one: it raises as CUDA does before its init.

Tensors on it compute, see `tests.support.gpu_tensor`, so whole trainings run on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from tests.support.gpu_tensor import (
    FACTORIES,
    REFUSED,
    GpuTensor,
    Memory,
    refused,
    wrapped_factory,
    wrapped_to,
)

NOT_YET = "Invalid device argument 0: did you call init?"
NAME = "NVIDIA Double"


@dataclass
class CudaDouble:
    """GPUs that no tensor was put on yet; a tensor goes to the first unless it says which.

    Attributes:
        kind: kind of the devices, "cuda" or "mps".
        n_gpus: number of GPUs.
        initialized: whether CUDA is; `use` makes it so, as the first tensor does.
        broken: whether nothing can be put on the GPU, as with a driver that does not fit.
        forgotten: devices whose peaks were begun anew.
        emptied: how often the allocator gave back what it kept.
        total: bytes of a GPU.
        others: bytes that other processes use.
        others_on: further bytes that other processes use, by number of the GPU.
        memory: counts the tensors of all GPUs.
    """

    kind: str = "cuda"
    n_gpus: int = 1
    initialized: bool = False
    broken: bool = False
    forgotten: list[torch.device] = field(default_factory=list)
    emptied: int = 0
    total: int = 16 << 30
    others: int = 0
    others_on: dict[int, int] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    def use(self, index: int = 0) -> None:
        """Initialize CUDA.

        Raises:
            RuntimeError: the GPU is broken, or there is none of this number.
        """
        if self.broken:
            raise RuntimeError("CUDA error: no kernel image is available\nmore of it")
        if index >= self.n_gpus:
            raise RuntimeError("CUDA error: invalid device ordinal\nmore of it")
        self.initialized = True

    def gpu_of(self, device: Any) -> tuple[torch.device, Memory] | None:
        """Return the GPU that a device names; None for the CPU. It initializes CUDA."""
        if device is None or torch.device(device).type != self.kind:
            return None
        index = torch.device(device).index or 0
        self.use(index)
        return torch.device(self.kind, index), self.memory

    def reset_peak_memory_stats(self, device: torch.device) -> None:
        """Raise as torch does where its allocator knows no device yet."""
        if not self.initialized:
            raise RuntimeError(NOT_YET)
        self.forgotten.append(device)
        self.memory.peak = self.memory.used

    def max_memory_allocated(self, _: torch.device) -> int:
        """Return 0 before the first tensor, as torch does."""
        return self.memory.peak

    def current_allocated_memory(self) -> int:
        """Return the bytes in use, as torch.mps does."""
        return self.memory.used

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """Initialize CUDA, as torch does, and return the free and all bytes of a GPU."""
        self.use()
        index = 0 if device is None else torch.device(device).index or 0
        others = self.others + self.others_on.get(index, 0)
        return self.total - others - self.memory.used, self.total

    def empty_cache(self) -> None:
        """Count the call."""
        self.emptied += 1

    def get_device_name(self, _: object) -> str:
        """Initialize CUDA, as torch does, and return a name."""
        self.use()
        return NAME

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the GPUs of torch for a test."""
        if self.kind == "cuda":
            monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
            monkeypatch.setattr(torch.cuda, "device_count", lambda: self.n_gpus)
            monkeypatch.setattr(torch.cuda, "is_initialized", lambda: self.initialized)
            for name in (
                "reset_peak_memory_stats", "max_memory_allocated", "get_device_name",
                "mem_get_info", "empty_cache",
            ):  # fmt: skip
                monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        else:
            monkeypatch.setattr(torch.mps, "empty_cache", self.empty_cache)
            monkeypatch.setattr(
                torch.mps, "current_allocated_memory", self.current_allocated_memory
            )
        # A parameter cannot take over the memory of a stand-in; a new one takes its place.
        monkeypatch.setattr(
            torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True
        )
        for name in FACTORIES:
            made = wrapped_factory(getattr(torch, name), self.gpu_of)
            monkeypatch.setattr(torch, name, made)
        for name in REFUSED:
            method = refused(name, getattr(torch.Tensor, name))
            monkeypatch.setattr(torch.Tensor, name, method)
        to = wrapped_to(torch.Tensor.to, self.gpu_of)
        monkeypatch.setattr(torch.Tensor, "to", to)
        monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: to(tensor, "cpu"))
        tolist = torch.Tensor.tolist
        monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: tolist(tensor.cpu()))
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: self._pinned(tensor))

    def _pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        """Refuse pinning of a GPU's tensor, and on a machine without CUDA; else a copy."""
        if isinstance(tensor, GpuTensor) or self.kind != "cuda":
            raise RuntimeError(f"cannot pin '{tensor.device.type}': only dense CPU tensors, CUDA")
        return tensor.clone()


def _installed(monkeypatch: pytest.MonkeyPatch, **options: Any) -> CudaDouble:
    double = CudaDouble(**options)
    double.install(monkeypatch)
    return double


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> CudaDouble:
    """A GPU, before its first tensor."""
    return _installed(monkeypatch)


@pytest.fixture
def mps(monkeypatch: pytest.MonkeyPatch) -> CudaDouble:
    """The GPU of a Mac, which has no float64 and pins no memory."""
    return _installed(monkeypatch, kind="mps")
