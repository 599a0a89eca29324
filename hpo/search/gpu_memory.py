"""The memory of GPUs: what the configs of a study need there, and how many workers share one."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from hpo.config import StudyConfig
from hpo.errors import SettingsError
from recsys.capacity import Capacity, Processor
from recsys.config import TrainConfig
from recsys.data import Interactions
from recsys.messages import count
from recsys.training import MemoryNeed, Sizes, free_memory, memory_need

GB = 1e9
CONTEXT = 600_000_000  # bytes that a process takes on a GPU before its first tensor, about
# Small kernels of more workers wait for each other: five finished 1.4 times as many trials as one.
MAX_SLOTS = 4
MEMORY_PARAMETERS = (
    *("dim", "batch_size", "cuts", "window", "negatives", "user_weight"),
    *("neighbour_weight", "neighbours"),
)


def fitted_to_gpus(
    config: StudyConfig,
    devices: Sequence[str],
    seen: Interactions,
    say: Callable[[str], None],
    *,
    shared: bool,
) -> Sequence[str]:
    """Return the device of each worker, as many as the GPUs have memory for; on a CPU unchanged.

    Args:
        config: the study's config. `device_slots = "auto"` without `workers` is decided here.
        devices: torch device name of each worker; with "auto" each GPU once.
        seen: the training rows.
        say: called with a line on need and memory of the GPUs.
        shared: True if a GPU can have several workers.

    Raises:
        SettingsError: no GPU has room for the smallest config of the space.
    """
    gpus = list(dict.fromkeys(devices))
    frees = {gpu: free_memory(torch.device(gpu)) for gpu in gpus}
    free = {gpu: n for gpu, n in frees.items() if n is not None}
    if not free or config.trainable is not None:  # nobody knows what another model needs
        return devices
    least, most = extremes(config, seen, torch.device(gpus[0]))
    for gpu, n in free.items():
        say(f"memory on {gpu}: {n / GB:.2f} GB free; a training takes at most {most}")
    full = [gpu for gpu in free if least.total + CONTEXT > free[gpu]]
    if len(full) == len(free):
        raise SettingsError(
            f"{_free_text(full, free)}, and even the smallest config of the space "
            f"needs {least} and {CONTEXT / GB:.1f} GB for its process; end what else uses the GPU, "
            "lower dim, batch_size or negatives in [space] and [base], or use --device cpu"
        )
    if full:
        say(
            f"{_free_text(full, free)}, and even the smallest config of the space needs {least} "
            f"and {CONTEXT / GB:.1f} GB for its process: no trial runs there"
        )
    devices = [gpu for gpu in devices if gpu not in full]
    if config.device_slots == "auto" and config.workers is None and shared:
        devices = _with_slots(devices, free, most.total, say)
    for gpu, sharing in Counter(devices).items():
        if (together := sharing * (most.total + CONTEXT)) > free[gpu]:
            say(
                f"{count(sharing, 'worker')} on {gpu} may need {together / GB:.2f} GB: trials that "
                "run out of memory are tried once more, then PRUNED"
            )
    return devices


def _free_text(gpus: Sequence[str], free: Mapping[str, int]) -> str:
    """Return `cuda:0: 0.60 GB are free` of some GPUs."""
    return ", ".join(f"{gpu}: {free[gpu] / GB:.2f} GB are free" for gpu in gpus)


def _with_slots(
    gpus: Sequence[str], free: Mapping[str, int], most: int, say: Callable[[str], None]
) -> list[str]:
    """Return the GPU of each worker, in turn, as many of each as it has memory for.

    Args:
        gpus: each GPU once.
        free: free bytes by GPU.
        most: bytes of the largest training.
        say: called with a line on the workers.
    """
    slots = {gpu: n_slots(free[gpu], most, len(gpus)) for gpu in gpus}
    room = {gpu: max(1, int(free[gpu] // (most + CONTEXT))) for gpu in gpus}
    if len(set(slots.values())) == 1:
        told = [("each GPU", slots[gpus[0]], min(room.values()))]
    else:
        told = [(gpu, slots[gpu], room[gpu]) for gpu in gpus]
    for where, n, fitting in told:
        say(
            f"device_slots auto: {count(n, 'worker')} on {where} "
            f"(memory for {fitting}, at most {MAX_SLOTS})"
        )
    return [gpu for turn in range(max(slots.values())) for gpu in gpus if turn < slots[gpu]]


def say_capacity(
    config: StudyConfig, name: str, seen: Interactions, say: Callable[[str], None]
) -> None:
    """Report the memory and seconds that `recsys.plan` estimates for the study's default config.

    Args:
        config: the study's config.
        name: torch device name of a worker.
        seen: the training rows.
        say: called with the line.
    """
    sizes, base = Sizes.of(seen), TrainConfig.of(config.train_config)
    threads = config.threads or torch.get_num_threads()
    say(f"plan: {Capacity.of(sizes, base, torch.device(name), threads, Processor.here())}")


def n_slots(free: int, most: int, n_gpus: int) -> int:
    """Return how many workers share a GPU: by its memory and the cores of the machine.

    Args:
        free: free bytes of a GPU.
        most: bytes of the largest training.
        n_gpus: number of GPUs.
    """
    cores = (os.cpu_count() or 1) // n_gpus  # a worker keeps a core busy with launching kernels
    return max(1, min(free // (most + CONTEXT), cores, MAX_SLOTS))


def extremes(
    config: StudyConfig, seen: Interactions, device: torch.device
) -> tuple[MemoryNeed, MemoryNeed]:
    """Return the memory of the smallest and of the largest training of a study.

    Conditions between parameters are ignored, so no config of the space lies beyond the two.

    Args:
        config: the study's config.
        seen: the training rows.
        device: device of the trainings.
    """
    sizes = Sizes.of(seen)
    needs = [memory_need(sizes, each, device) for each in _corners(config, sizes.n_items)]
    return min(needs, key=lambda need: need.total), max(needs, key=lambda need: need.total)


def _corners(config: StudyConfig, n_items: int) -> Iterator[TrainConfig]:
    """Yield the configs with the ends of all ranges that decide about memory."""
    base = config.train_config
    values = base.as_dict()
    searched = [name for name in MEMORY_PARAMETERS if name in config.space]
    ends = [_ends(config, name, values[name], n_items) for name in searched]
    for chosen in itertools.product(*ends):
        yield TrainConfig.of(base.replace(**dict(zip(searched, chosen, strict=True))))


def _ends(config: StudyConfig, name: str, default: float, n_items: int) -> set[float]:
    """Return the values of a parameter among which the extremes of the memory are.

    Args:
        config: the study's config.
        name: name of the parameter.
        default: its value in the base, which counts if the parameter is conditional.
        n_items: size of the catalogue.
    """
    parameter = config.space[name]
    numbers = parameter.choices or (parameter.low, parameter.high)
    values = [config.typed(name, number) for number in numbers if number is not None]
    found = {min(values), max(values)} | ({0} & set(values))  # 0: off, or the whole catalogue
    if parameter.when or not found:
        found.add(default)
    if name == "negatives":  # few draws may take less than the whole catalogue, many take more
        found |= {min(value for value in values if value) if any(values) else 0}
        found |= {n_items - 1} if min(values) < n_items - 1 < max(values) else set()
    return {config.typed(name, value) for value in found}
