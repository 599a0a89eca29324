"""Arrays of the host on their way to a device."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Return an array on a device: a copy that the host does not wait for; on a CPU no copy.

    Args:
        array: of numbers, writable.
        device: where it is needed.
    """
    tensor = from_dlpack(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
