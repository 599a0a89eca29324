"""Tensors that say they are on a GPU: computed by the CPU, refused where a GPU would refuse them.

Everything that a program may do wrong with a device shows here without one: tensors of two devices
in one operation, numpy on a tensor that the host cannot read, a type that the device lacks, more
memory than the GPU has. What is done right gives the CPU's numbers to the last bit.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map_only

ACROSS = ("aten.copy_.default", "aten._to_copy.default")  # operations between devices
FACTORIES = (
    "arange", "as_tensor", "empty", "eye", "full", "ones", "rand", "randn", "sparse_coo_tensor",
    "tensor", "zeros",
)  # fmt: skip
REFUSED = ("numpy", "__array__", "__dlpack__")  # the host cannot read a GPU's memory


class Memory:
    """Counts the bytes of tensors on a GPU. **Thread-safe.**

    Attributes:
        capacity: bytes of the GPU; None: no end.
        used: bytes of all tensors now.
        peak: the most that was used since it was last set.
        copies: transfers from the GPU to the host, which wait for all the GPU has to do.
        operations: names of the operations so far, each with how often.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.used = self.peak = self.copies = 0
        self._lock = threading.RLock()  # a finalizer may run inside of `take`
        self.operations: Counter[str] = Counter()
        self._shared: Counter[int] = Counter()
        self._bytes: dict[int, int] = {}

    def take(self, tensor: GpuTensor) -> None:
        """Count the storage of a tensor, once for all its views, until the last of them is gone.

        Raises:
            torch.OutOfMemoryError: the GPU is full.
        """
        storage = tensor.inner.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not place:
            return
        with self._lock:
            if place not in self._bytes:
                if self.capacity is not None and self.used + size > self.capacity:
                    raise torch.OutOfMemoryError(
                        f"CUDA out of memory. Tried to allocate {size} bytes"
                    )
                self._bytes[place] = size
                self.used += size
                self.peak = max(self.peak, self.used)
            self._shared[place] += 1
        weakref.finalize(tensor, self._give, place)

    def _give(self, place: int) -> None:
        with self._lock:
            self._shared[place] -= 1
            if not self._shared[place]:
                self.used -= self._bytes.pop(place)
                del self._shared[place]


class GpuTensor(torch.Tensor):
    """A tensor of a GPU.

    Attributes:
        inner: the same numbers on the CPU.
        place: the GPU.
        memory: counts the GPU's tensors.
    """

    inner: torch.Tensor
    place: torch.device
    memory: Memory

    @staticmethod
    def __new__(cls, inner: torch.Tensor, place: torch.device, memory: Memory) -> GpuTensor:
        if place.type == "mps" and inner.dtype is torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device="cpu",
        )
        made.inner, made.place, made.memory = inner, place, memory
        memory.take(made)
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return self.place.type == "cuda"

    def __repr__(self) -> str:  # type: ignore[override]
        return f"CardTensor({self.inner!r}, device={self.place})"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute on the CPU; wrap the results.

        Raises:
            RuntimeError: the operation mixes devices.
        """
        given = [x for x in tree_flatten((args, kwargs or {}))[0] if isinstance(x, torch.Tensor)]
        ours = [x for x in given if isinstance(x, GpuTensor)]
        place, memory = ours[0].place, ours[0].memory
        others = {str(x.device) for x in given if x.device != place and x.dim()}
        if others and str(func) not in ACROSS:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found {place} and "
                f"{', '.join(sorted(others))} ({func})"
            )
        memory.operations[str(func)] += 1
        inner = tree_map_only(GpuTensor, lambda x: x.inner, (args, kwargs or {}))
        found = func(*inner[0], **inner[1])
        if str(func) == "aten.copy_.default" and not isinstance(args[0], GpuTensor):
            memory.copies += 1
        returns = func._schema.returns  # type: ignore[attr-defined]
        if returns and returns[0].alias_info is not None and returns[0].alias_info.is_write:
            return args[0]
        wrap = lambda x: GpuTensor(x, place, memory)  # noqa: E731
        return tree_map_only(torch.Tensor, wrap, found)


def wrapped_factory(
    real: Callable[..., Any], gpu_of: Callable[[Any], tuple[torch.device, Memory] | None]
) -> Callable[..., Any]:
    """Return a function like torch.zeros that makes tensors of the GPU where it is asked to."""

    def made(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        found = gpu_of(device)
        if found is None:
            return real(*args, device=device, **kwargs)
        if args and isinstance(args[0], GpuTensor):
            return args[0].to(device, **kwargs)
        result = real(*args, device="cpu", **kwargs)
        return result if result.is_sparse else GpuTensor(result.clone(), *found)

    return made


def wrapped_to(
    real: Callable[..., Any], gpu_of: Callable[[Any], tuple[torch.device, Memory] | None]
) -> Callable[..., Any]:
    """Return a stand-in for `Tensor.to`."""

    def to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
        if args and isinstance(args[0], torch.Tensor):
            device, dtype = args[0].device, args[0].dtype
        found = gpu_of(device)
        if isinstance(tensor, GpuTensor):
            if device is None or found is not None:
                return tensor if dtype in (None, tensor.dtype) else real(tensor, dtype)
            tensor.memory.copies += 1
            inner = tensor.detach().inner
            return real(inner, dtype or inner.dtype).clone()
        if found is None:
            return real(tensor, *args, **kwargs)
        return GpuTensor(real(tensor.detach(), dtype or tensor.dtype).clone(), *found)

    return to


def refused(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of tensors that refuses those of a GPU."""

    def method(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if isinstance(tensor, GpuTensor):
            raise TypeError(f"can't convert {tensor.place} device type tensor to numpy ({name})")
        return real(tensor, *args, **kwargs)

    return method
