"""Resources of a training: memory that it took or will take, and threads worth using."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Self

import psutil
import torch

from recsys.config import TrainConfig
from recsys.data import FEATURES, Interactions
from recsys.evaluation import MAX_CHUNK, chunk_bytes_on
from recsys.models import NEWEST
from recsys.training.negatives import n_negatives
from recsys.training.step import MOST

OF_THIS_PROCESS = Path("/proc/self")
MB, GB = 1_000_000, 1_000_000_000
KIB = 1024
FLOAT32 = 4  # bytes
# Bytes of one element, counted over the tensors that exist at the same time (estimates).
PLANNED = 50  # a number of a plan: int64 and float32 arrays, and what they are made of
NEIGHBOUR = 8  # an item and its nearness
HISTORY = 70  # a row of a history that is encoded, and the mask of its item
ASKING = 20  # a neighbour of a history item: its position and what it adds
RANKED = 16_000  # of a user, at most: the blocks with the highest scores
NO_MEMORY = (  # texts of errors that torch raises as a plain RuntimeError
    "allocate memory",  # by the CPU's allocator
    "DefaultCPUAllocator: not enough memory",  # the same on Windows
    "bad_alloc",  # of C++
    "bad allocation",  # the same on Windows
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # its workspace found no room
    "MPS backend out of memory",
)


def forget_peaks(device: torch.device) -> None:
    """Reset the memory peaks, so that they exclude earlier trainings.

    The peak of resident memory can be reset on Linux only.
    """
    with suppress(OSError):  # no Linux, or no such kernel option: the peak is since the start
        (OF_THIS_PROCESS / "clear_refs").write_text("5")
    if allocator := _allocator(device):
        allocator.reset_peak_memory_stats(device)


def peak_resident_mb() -> float:
    """Return the peak resident memory of this process, libraries included, in millions of bytes.

    Linux: since `forget_peaks`. Windows: since the process started. macOS, which reports no peak:
    the current value. `getrusage` is of no use: a new process inherits the peak of its parent.
    """
    with suppress(OSError):
        for line in (OF_THIS_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB / MB
    info = psutil.Process().memory_info()
    return float(getattr(info, "peak_wset", info.rss)) / MB


def peak_gpu_mb(device: torch.device) -> float:
    """Return the peak GPU memory of tensors since `forget_peaks`, in millions of bytes; CPU: 0.

    Apple's GPUs report no peak: the current value.
    """
    if device.type == "mps":
        return torch.mps.current_allocated_memory() / MB
    allocator = _allocator(device)
    return allocator.max_memory_allocated(device) / MB if allocator else 0.0


def release_memory(device: torch.device) -> None:
    """Give a GPU's memory that no tensor uses back to other processes; on a CPU do nothing."""
    if device.type == "cpu":
        return
    gc.collect()  # what raised an error may hang in a cycle with its tensors
    if device.type == "mps":
        torch.mps.empty_cache()
    elif allocator := _allocator(device):
        allocator.empty_cache()


def _allocator(device: torch.device) -> ModuleType | None:
    """Return torch's module that counts the memory of a GPU; None if there is none yet.

    Before the first tensor on a GPU torch knows no devices: no peak exists, and a reset raises.
    """
    module = {"cuda": torch.cuda, "xpu": torch.xpu}.get(device.type)
    return module if module is not None and module.is_initialized() else None


FLOP_PER_THREAD = 50e6  # below, threads wait for each other longer than they work


def useful_threads(n_items: int, config: TrainConfig, available: int) -> int:
    """Return how many threads are worth using, in 1..available.

    The size of a step's largest product decides: users x dim x candidates. On ml-100k at dim 128
    (55 MFLOP) and a busy machine, two threads took five times the CPU time of one, because they
    spin while they wait for each other.

    Args:
        n_items: size of the catalogue.
        config: batch size, dim and negatives.
        available: threads that torch may use.
    """
    # The batch's targets are candidates as well; they are about as many as the drawn items.
    candidates = 2 * n_negatives(config, n_items) or n_items
    flop = 2 * config.batch_size * config.dim * candidates
    return max(1, min(available, int(flop / FLOP_PER_THREAD)))


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Give torch so many threads in this thread's products for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class MemoryNeed:
    """The bytes that a training takes on its device, as estimated before it starts.

    Attributes:
        tables: all weights, thrice: of the steps, their running average and the best epoch.
        optimizer: both moments of Adam.
        steps: the largest step: candidates, gradients, plans of the steps to come.
        evaluation: the vectors of all items, and one chunk of scores.
    """

    tables: int
    optimizer: int
    steps: int
    evaluation: int

    @property
    def total(self) -> int:
        """Return the peak: an evaluation begins after the last step has ended."""
        return self.tables + self.optimizer + max(self.steps, self.evaluation)

    def __str__(self) -> str:
        """Return the total and its parts, in GB of 10**9 bytes."""
        parts = "tables {:.2f}, optimizer {:.2f}, steps {:.2f} or evaluation {:.2f}".format(
            *(part / GB for part in (self.tables, self.optimizer, self.steps, self.evaluation))
        )
        return f"{self.total / GB:.2f} GB ({parts})"


@dataclass(frozen=True)
class Sizes:
    """The sizes of training data, which decide what a training takes.

    Attributes:
        n_users, n_items: sizes of the vocabularies.
        n_rows: number of interactions.
        ordered: True if the data has times.
        n_codes: embeddings of features of users and items.
    """

    n_users: int
    n_items: int
    n_rows: int
    ordered: bool = True
    n_codes: int = 0

    @classmethod
    def of(cls, seen: Interactions) -> Self:
        """Return the sizes of training rows."""
        found = [each for name in FEATURES if (each := getattr(seen, name)) is not None]
        codes = sum(each.n_embeddings for each in found)
        return cls(seen.n_users, seen.n_items, len(seen), seen.times is not None, codes)

    @property
    def length(self) -> float:
        """Return the rows of a user on average."""
        return self.n_rows / max(1, self.n_users)


@dataclass(frozen=True)
class StepSizes:
    """The sizes of an average training step.

    Attributes:
        n_steps: steps of an epoch.
        batch: users.
        history: items in the histories of all users; a cut leaves half of a history on average.
        targets: items to predict, of all users.
        columns: candidates of the softmax.
        gathered: rows of tables that are copied and updated; 0: whole tables are updated.
        weights: numbers of all tables.
    """

    n_steps: int
    batch: int
    history: float
    targets: float
    columns: float
    gathered: float
    weights: float

    @classmethod
    def of(cls, sizes: Sizes, config: TrainConfig) -> Self:
        """Return the sizes of the average step of a training.

        Args:
            sizes: sizes of the training data.
            config: hyperparameters of the training.
        """
        n = sizes.n_items
        item_tables = 3 if sizes.ordered else 2
        n_users = sizes.n_users if config.user_weight else 0
        weights = config.dim * (item_tables * n + n_users + sizes.n_codes) + n
        batch = max(1, min(config.batch_size, sizes.n_users * config.cuts))
        history = batch * sizes.length / 2
        drawn = n_negatives(config, n)
        targets = batch * min(config.window, sizes.length / 2)
        columns = min(n, drawn + targets) if drawn else n
        gathered = (columns + (item_tables - 1) * min(n, history)) if drawn else 0
        n_steps = -(-sizes.n_users * config.cuts // batch)
        return cls(n_steps, batch, history, targets, columns, gathered, weights)

    @property
    def planned(self) -> float:
        """Return how many numbers the plan of the step holds."""
        return self.history + self.targets + (self.gathered or self.columns)


def memory_need(
    sizes: Sizes, config: TrainConfig, device: torch.device, chunk_bytes: int | None = None
) -> MemoryNeed:
    """Estimate the memory of a training from sizes alone.

    The measured peak of the tensors is 0.6 to 0.9 of it.

    Args:
        sizes: sizes of the training rows.
        config: hyperparameters of the training.
        device: device of the training, which decides the chunks of an evaluation.
        chunk_bytes: bytes of scores in such a chunk, for a device that is not here; None: ask it.
    """
    n, row = sizes.n_items, FLOAT32 * config.dim
    step = StepSizes.of(sizes, config)
    weights = FLOAT32 * step.weights
    remembers = config.neighbour_weight > 0
    neighbours = NEIGHBOUR * config.neighbours * n if remembers else 0
    touched = step.gathered or weights / row
    plans = min(step.planned * step.n_steps, 2 * max(MOST, step.planned))  # one in use, one coming
    training = (
        FLOAT32 * step.batch * step.columns  # logits
        # weights, moments; gradients; vectors
        + row * (3 * step.gathered + touched + 3 * step.columns)
        + 4 * row * step.batch
        + PLANNED * plans
    )
    asked_for = chunk_bytes or chunk_bytes_on(device)
    chunk = min(asked_for // (FLOAT32 * n) or 1, MAX_CHUNK, sizes.n_users)
    newest = min(NEWEST, sizes.length) if sizes.ordered else sizes.length
    asked = newest if remembers else 0
    per_user = FLOAT32 * n + HISTORY * sizes.length + 4 * row
    per_user += max(ASKING * config.neighbours * asked, min(RANKED, FLOAT32 * n))
    scoring = 3 * row * n + chunk * per_user
    return MemoryNeed(
        int(3 * weights + 2 * neighbours), int(2 * weights), int(training), int(scoring)
    )


def is_out_of_memory(error: Exception) -> bool:
    """Return True if torch raised the error because memory ran out."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that a new training may take on a GPU; None on a CPU, which pages."""
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    module = {"cuda": torch.cuda, "xpu": torch.xpu}.get(device.type)
    return None if module is None else int(module.mem_get_info(device)[0])
