"""Override: one `--set KEY=VALUE` on the command line, over a study file."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import dataclass
from typing import Any

from hpo.errors import SettingsError


@dataclass(frozen=True)
class Override:
    """One `--set KEY=VALUE`.

    Attributes:
        place: the parts of KEY.
        value: VALUE as a TOML value.
        text: KEY=VALUE as given.
    """

    place: tuple[str, ...]
    value: Any
    text: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """Parse KEY=VALUE: a dotted TOML key, and a TOML value or bare words as a string.

        Raises:
            ValueError: the text has no `=`, or KEY is no dotted TOML key.
        """
        key, equals, given = text.partition("=")
        try:
            node: Any = tomllib.loads(f"{key} = 0") if equals and "\n" not in key else {}
        except tomllib.TOMLDecodeError:
            node = {}
        place: list[str] = []
        while isinstance(node, dict) and len(node) == 1:
            ((part, node),) = node.items()
            place.append(part)
        if not place or node != 0:
            raise ValueError(f"{text!r}: give KEY=VALUE, for instance space.dim.high=128")
        return cls(tuple(place), _toml_value(given.strip()), text)

    def put_into(self, values: dict[str, Any]) -> None:
        """Set the value in a study file's tables; make missing tables.

        Raises:
            SettingsError: a part of the key other than the last is no table.
        """
        *parents, last = self.place
        for depth, part in enumerate(parents, 1):
            values = values.setdefault(part, {})
            if not isinstance(values, dict):
                way = ".".join(self.place[:depth])
                raise SettingsError(f"--set {self.text}: {way} is no table; give it as a whole")
        values[last] = copy.deepcopy(self.value)  # further overrides may change it

    def concerns(self, place: tuple[str | int, ...]) -> bool:
        """Return True if the override set this key, a part of its value or a table around it."""
        n = min(len(place), len(self.place))
        return n > 0 and self.place[:n] == place[:n]


def _toml_value(text: str) -> Any:
    """Return the text as a TOML value; as a string if it is none."""
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if len(found) == 1 else text
