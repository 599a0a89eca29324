"""How a study searches: which sampler suggests configs, which pruner ends hopeless trials."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Kind(BaseModel):
    """One of several kinds, `name`, each with options of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    OPTIONS: ClassVar[dict[str, tuple[str, ...]]]

    name: str

    @property
    def options(self) -> dict[str, float | bool]:
        """Those that mean something to this kind."""
        return {option: getattr(self, option) for option in self.OPTIONS[self.name]}

    @model_validator(mode="after")
    def _has_these_options(self) -> Self:
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
    """How configs are suggested."""

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
    startup: int = Field(10, ge=0)
    """So many random trials first."""
    multivariate: bool = False
    """Model parameters together, not each by itself."""


class PrunerConfig(_Kind):
    """When a hopeless trial ends early. All compare a trial's best value so far."""

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
    """What it is compared with, see the README."""
    startup: int = Field(5, ge=0)
    """COMPLETE trials before anything is pruned."""
    warmup: int = Field(15, ge=0)
    """Epochs that every trial gets; for asha and hyperband the first rung."""
    keep: float = Field(75.0, gt=0, lt=100)
    """percentile: a trial must be among the best so many percent."""
    patience: int = Field(2, ge=0)
    """patient: median, but only for trials without a better value in so many epochs."""
    reduction: int = Field(3, ge=2)
    """asha, hyperband: one of so many trials goes on at each rung."""
    share: float = Field(10.0, gt=0)
    """forecast: a trial goes on while its chance to become the best is at least so many percent
    of a new trial's chance."""
