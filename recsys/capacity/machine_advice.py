"""The smallest machine that has the memory for a study and trains an epoch in time."""

from __future__ import annotations

from typing import NamedTuple

from recsys.training import GB, MemoryNeed

# Bytes of machines and the share that a study may have; GPUs of 80 GB, eight in a machine.
LAPTOP, BIG, GPU, N_GPUS = 16 * GB, 512 * GB, 80 * GB, 8
SHARE = 0.75
QUICK, PATIENT = 600.0, 3600.0  # seconds an epoch may take on a laptop, on a big machine


class MachineAdvice(NamedTuple):
    """The smallest machine for a training.

    Attributes:
        machine: the machine in words.
        because: the number that decides.
    """

    machine: str
    because: str


def advice_for(host: int, need: MemoryNeed, wall: float | None, *, on_gpu: bool) -> MachineAdvice:
    """Return the smallest machine that has the memory, and an epoch in time.

    Args:
        host: bytes of launcher and worker in the machine's memory.
        need: bytes of the training's tensors, which a GPU would hold.
        wall: seconds of an epoch and its evaluation on a CPU; None if nobody knows.
        on_gpu: True if the training is to run on a GPU.
    """
    if host > SHARE * BIG:
        return MachineAdvice("cluster", f"{host / GB:,.0f} GB of host memory")
    slow = wall is not None and wall > PATIENT
    if not on_gpu and not slow:
        if host <= SHARE * LAPTOP and (wall is None or wall <= QUICK):
            return MachineAdvice("laptop", f"{host / GB:.1f} GB of host memory")
        reason = f"{host / GB:.1f} GB of host memory, {wall:,.0f} s an epoch"
        return MachineAdvice("big machine", reason)
    because = f"{need.total / GB:.1f} GB on the GPU"
    if slow:
        because = f"{wall:,.0f} s an epoch on a CPU; {because}"
    if need.total <= SHARE * GPU:
        return MachineAdvice("one GPU", because)
    if need.total <= SHARE * GPU * N_GPUS:
        return MachineAdvice("several GPUs", because)
    return MachineAdvice("cluster", because)
