"""Choice and options of the sampler, which suggests configs, and of the pruner of a study.

`hpo.search` builds what is chosen here: in `samplers.py` and `pruners.py`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpo.config.error_text import Number, Switch, Whole


class _Kind(BaseModel):
    """A choice among several kinds by `name`; each kind has its own options."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    OPTIONS: ClassVar[dict[str, tuple[str, ...]]]

    name: str

    @property
    def options(self) -> dict[str, float | bool]:
        """Return the options of the chosen kind with their values."""
        return {option: getattr(self, option) for option in self.OPTIONS[self.name]}

    @model_validator(mode="after")
    def _has_these_options(self) -> Self:
        """Refuse options of other kinds.

        Raises:
            ValueError: an option that the chosen kind lacks differs from its default.
        """
        own = self.OPTIONS[self.name]
        foreign = [
            option
            for option, field in type(self).model_fields.items()
            if option not in ("name", *own) and getattr(self, option) != field.default
        ]
        if foreign:
            raise ValueError(
                f"{self.name} has no option {', '.join(foreign)}; it has {', '.join(own) or 'none'}"
            )
        return self


class SamplerConfig(_Kind):
    """The sampler, which suggests configs."""

    OPTIONS = {
        "tpe": ("startup", "multivariate"),
        "gp": ("startup",),
        "cmaes": ("startup",),
        "qmc": (),
        "random": (),
    }

    name: Literal["tpe", "gp", "cmaes", "qmc", "random"] = "tpe"
    """tpe, gp (a Gaussian process) and cmaes learn from earlier trials, qmc (a Sobol sequence)
    and random do not."""
    startup: Whole = Field(10, ge=0)
    """Number of random trials at the start."""
    multivariate: Switch = False
    """Model all parameters jointly instead of each by itself."""


class PrunerConfig(_Kind):
    """The pruner, which ends hopeless trials early. All kinds judge a trial's best value so far."""

    OPTIONS = {
        "none": (),
        "median": ("startup", "warmup"),
        "percentile": ("startup", "warmup", "keep"),
        "patient": ("startup", "warmup", "patience"),
        "asha": ("warmup", "reduction"),
        "hyperband": ("warmup", "reduction"),
        "forecast": ("startup", "warmup", "share"),
    }

    name: Literal["none", "median", "percentile", "patient", "asha", "hyperband", "forecast"] = (
        "percentile"
    )
    """Kind of the comparison with other trials, see docs/studies.md."""
    startup: Whole = Field(5, ge=0)
    """Number of COMPLETE trials before any trial is pruned."""
    warmup: Whole = Field(15, ge=0)
    """Number of epochs that every trial gets; for asha and hyperband the first rung."""
    keep: Number = Field(75.0, gt=0, lt=100)
    """percentile: a trial goes on while it is among the best `keep` percent."""
    patience: Whole = Field(2, ge=0)
    """patient: as median, but prune only trials without a better value in `patience` epochs."""
    reduction: Whole = Field(3, ge=2)
    """asha, hyperband: one of `reduction` trials goes on at each rung."""
    share: Number = Field(10.0, gt=0)
    """forecast: a trial goes on while its chance to become the best is at least `share` percent
    of a new trial's chance."""
