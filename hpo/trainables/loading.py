"""Recommenders of the user's own as `package.module:Class`, checked for what they need."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import SettingsError
from recsys.config import Hyperparameters, TrainConfig
from recsys.errors import ConfigError

if TYPE_CHECKING:
    from hpo.trainables.protocol import Trainable

REQUIRED = ("epochs", "seed")  # hyperparameters that every training has
_MADE: dict[str, tuple[type[Any], Any]] = {}  # class and hyperparameters that passed the checks
CURE = (
    "run the command in the folder of the module, put that folder into PYTHONPATH, or install the "
    "package into this environment; worker processes import it, too"
)


def hyperparameters_of(reference: str | None) -> type[Hyperparameters]:
    """Return the class of a model's hyperparameters.

    Args:
        reference: the model as `package.module:Class`; None: the two-tower.

    Raises:
        SettingsError: as `load_trainable`.
    """
    if reference is None:
        return TrainConfig
    found = _class_of(reference)
    kinds = (found, getattr(found, "config", None))
    if _MADE.get(reference) != kinds:  # a class may do much when it is made, so once is enough
        load_trainable(reference)
        _MADE[reference] = kinds
    config: type[Hyperparameters] = found.config
    return config


def load_trainable(reference: str) -> Trainable:
    """Import a class and return an instance of it.

    Args:
        reference: the class as `package.module:Class`.

    Raises:
        SettingsError: there is no such class, or it is no `Trainable`.
    """
    found = _class_of(reference)
    if problems := list(_problems(found)):
        raise SettingsError([f"{reference}: {problem}" for problem in problems])
    try:
        made: Trainable = found()
    except Exception as error:
        raise SettingsError(
            f"{reference}() failed: {type(error).__name__}: {error}; the class must be made "
            "without arguments"
        ) from error
    return made


def _class_of(reference: str) -> type[Any]:
    """Import a class, whatever it has.

    Raises:
        SettingsError: there is no such class.
    """
    module_name, colon, name = reference.partition(":")
    if not (colon and module_name and name):
        raise SettingsError(
            f"{reference!r} names no class; give package.module:Class, for instance als:Als"
        )
    found = _attribute(_module(module_name, reference), name, reference)
    if not isinstance(found, type):
        raise SettingsError(f"{reference} is no class; give a class with config and epochs")
    return found


def reference_to(trainable: type[Any] | str) -> str:
    """Return the name of a class as `package.module:Class`; a name is returned unchanged.

    Args:
        trainable: the class or its name.

    Raises:
        SettingsError: no other process can import the class.
    """
    if isinstance(trainable, str):
        return trainable
    if not isinstance(trainable, type):
        raise SettingsError(f"trainable: {trainable!r} is no class; give the class itself")
    module, name = trainable.__module__, trainable.__qualname__
    if module == "__main__" or "<locals>" in name:
        where = "a notebook or the started script" if module == "__main__" else "a function"
        raise SettingsError(
            f"trainable: {name} is defined in {where}, from where neither workers nor later "
            f"commands can import it; write it into a file, for instance {name.lower()}.py beside "
            f"it, and import it from there"
        )
    return f"{module}:{name}"


def _module(name: str, reference: str) -> object:
    """Import a module; the current folder counts as if the command were `python -m`.

    Raises:
        SettingsError: there is no such module, or importing it fails.
    """
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)  # the program `hpo` has the folder of programs there
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise SettingsError(
                f"{reference}: there is no module {error.name} to import; {CURE}"
            ) from error
        raise SettingsError(f"{reference}: importing {name} failed: {error}") from error
    except Exception as error:
        raise SettingsError(
            f"{reference}: importing {name} failed: {type(error).__name__}: {error}"
        ) from error


def _attribute(module: object, name: str, reference: str) -> object:
    """Return the attribute that a dotted name leads to.

    Raises:
        SettingsError: there is none.
    """
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            classes = [n for n, value in vars(module).items() if _is_own(value, module)]
            known = ", ".join(classes) or "none"
            raise SettingsError(f"{reference}: the module has no {name}; its classes: {known}")
        found = getattr(found, part)
    return found


def _is_own(value: object, module: object) -> bool:
    """Return True if the value is a class that the module defines."""
    return isinstance(value, type) and value.__module__ == getattr(module, "__name__", "")


def _problems(found: type[Any]) -> Iterator[str]:
    """Yield what a class lacks to be a `Trainable`."""
    if not callable(getattr(found, "epochs", None)):
        yield "has no method epochs(holdout, config), which yields recsys.EpochResult"
    config = getattr(found, "config", None)
    if not (isinstance(config, type) and issubclass(config, Hyperparameters)):
        yield "has no class attribute config, a subclass of recsys.Hyperparameters"
        return
    for field in dataclasses.fields(config):
        if field.type not in ("int", "float", int, float) or "low" not in field.metadata:
            yield (
                f"config.{field.name} must be an int or a float with a default and a range, such "
                f"as {field.name}: float = within(0.1, low=0.0, high=1.0)"
            )
    if missing := [name for name in REQUIRED if name not in config.names()]:
        yield (
            f"config lacks {' and '.join(missing)}; every training has the int fields "
            f"{' and '.join(REQUIRED)}, and the class is a @dataclass(frozen=True)"
        )
        return
    try:
        config.from_dict({})
    except ConfigError as error:
        yield f"its defaults are refused: {error}"
    except Exception as error:
        yield f"its defaults are refused by {config.__name__}: {type(error).__name__}: {error}"
