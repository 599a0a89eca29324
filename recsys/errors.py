"""The errors that recsys raises on purpose.

RecsysError
├── DataError        the given interactions cannot be used (exit code 2)
├── ConfigError      a hyperparameter is out of its range (exit code 2)
├── DivergedError    the training loss is NaN or infinite
├── ScoreError       an item that is asked for has no finite score
├── CheckpointError  a stored model is missing, damaged or of another version
└── TrackingError    MLflow cannot be reached, or its content is not as expected (exit code 3)

Every message says what was given, what is allowed and what to do next. Errors about input
collect all problems first, so that a user mends a file once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class RecsysError(Exception):
    """Base of all errors that recsys raises on purpose; a command ends with `exit_code`."""

    exit_code = 1


class Problems(RecsysError):
    """An error with one line for each problem.

    Attributes:
        problems: the lines, in the order in which the problems were found.
    """

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (
            (problems,) if isinstance(problems, str) else tuple(problems)
        )
        super().__init__("\n".join(self.problems))


class DataError(Problems):
    """Interactions, or a file of interactions, that cannot be used."""


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Put the name or path of the data before each problem of a DataError raised in the block.

    Args:
        source: the name or path.

    Raises:
        DataError: the error of the block, with `source` before each problem.
    """
    try:
        yield
    except DataError as error:
        raise DataError([f"{source}: {problem}" for problem in error.problems]) from None


class ConfigError(Problems):
    """One or more hyperparameters out of range."""


class ScoreError(RecsysError):
    """Scores without a rank: NaN, or -inf of an item that is asked for.

    Attributes:
        is_nan: True if users' scores include NaN, as after a training that diverged; False if items
            that are asked for score -inf.
    """

    def __init__(self, n: int, *, is_nan: bool) -> None:
        self.is_nan = is_nan
        what = "users have scores" if is_nan else "items that are asked for have the score"
        super().__init__(
            f"{n:,} {what} {'NaN' if is_nan else '-inf'}; give every item of the catalogue a "
            "finite score"
        )


class CheckpointError(RecsysError):
    """A stored model that cannot be read back."""


class TrackingError(RecsysError):
    """A failure of MLflow to answer, to accept a request, or to hold the expected content."""

    exit_code = 3


class DivergedError(RecsysError):
    """A training loss that became NaN or infinite.

    Attributes:
        epoch: epoch of the failure, counted from 1.
        step: optimizer step within that epoch, counted from 1; 0: the whole epoch.
        loss: the loss of that step.
    """

    def __init__(self, epoch: int, step: int, loss: float) -> None:
        self.epoch, self.step, self.loss = epoch, step, loss
        super().__init__(
            f"training diverged: loss is {loss} at epoch {epoch}, step {step}; "
            "try a smaller lr or a higher temperature"
            if step
            else f"training diverged: loss or objective is {loss} at epoch {epoch}"
        )

    def __reduce__(self) -> tuple[type[DivergedError], tuple[int, int, float]]:
        return DivergedError, (self.epoch, self.step, self.loss)
