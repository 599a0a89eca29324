"""A stand-in for `torch.cuda` on machines without a GPU: it raises as CUDA does before its init."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

EMPTY = torch.empty
NOT_YET = "Invalid device argument 0: did you call init?"


@dataclass
class CudaDouble:
    """One card that no tensor was put on yet.

    Attributes:
        initialized: whether CUDA is; `use` makes it so, as the first tensor does.
        broken: whether nothing can be put on the card, as with a driver that does not fit.
        forgotten: devices whose peaks were begun anew.
    """

    initialized: bool = False
    broken: bool = False
    forgotten: list[torch.device] = field(default_factory=list)

    def use(self) -> None:
        """Initialize CUDA."""
        if self.broken:
            raise RuntimeError("CUDA error: no kernel image is available\nmore of it")
        self.initialized = True

    def reset_peak_memory_stats(self, device: torch.device) -> None:
        """Raise as torch does where its allocator knows no device yet."""
        if not self.initialized:
            raise RuntimeError(NOT_YET)
        self.forgotten.append(device)

    def max_memory_allocated(self, _: torch.device) -> int:
        """Return 0 before the first tensor, as torch does."""
        return 5_000_000 if self.initialized else 0

    def get_device_name(self, _: object) -> str:
        """Initialize CUDA, as torch does, and return a name."""
        self.use()
        return "NVIDIA Double"

    def empty(self, *shape: Any, device: Any = None, **options: Any) -> torch.Tensor:
        """Stand for `torch.empty`: a tensor on the card initializes CUDA."""
        if not str(device).startswith("cuda"):
            return EMPTY(*shape, device=device, **options)
        self.use()
        return cast("torch.Tensor", SimpleNamespace(device=torch.device(device)))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in the place of `torch.cuda` for a test."""
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: self.initialized)
        for name in ("reset_peak_memory_stats", "max_memory_allocated", "get_device_name"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch, "empty", self.empty)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> CudaDouble:
    """A card, before its first tensor."""
    double = CudaDouble()
    double.install(monkeypatch)
    return double
