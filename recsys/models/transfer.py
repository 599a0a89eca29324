"""Arrays of the host on their way to a device, and operations that not every device has."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Return an array on a device: on CUDA a copy that nobody waits for; on a CPU no copy.

    Args:
        array: of numbers, writable.
        device: where it is needed.
    """
    tensor = from_dlpack(array)
    if device.type != "cuda":  # others may still read the array after the host has let go of it
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def taken(values: Tensor, positions: Tensor) -> Tensor:
    """Return the values at positions counted through all dimensions; `take` is missing on MPS.

    Args:
        values: (...) of any type, contiguous.
        positions: (...) int64.

    Returns:
        (...) in the shape of `positions`.
    """
    if values.device.type == "mps":
        return values.view(-1)[positions]
    return values.take(positions)
