"""Plain words for pydantic's errors, values in TOML's notation, and kinds that are kept apart.

TOML and the JSON Schema tell true, 1 and "1" apart; pydantic alone would make one of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

Context = Mapping[str, Any]

NUMBER, WHOLE = "must be a number", "must be a whole number"
WORDS: dict[str, str | Callable[[Context], str]] = {
    "missing": "is missing",
    "greater_than_equal": lambda c: f"must be at least {c['ge']:g}",
    "greater_than": lambda c: f"must be above {c['gt']:g}",
    "less_than_equal": lambda c: f"must be at most {toml_text(c['le'])}",
    "less_than": lambda c: f"must be below {c['lt']:g}",
    "finite_number": "must be a finite number",
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text, in quotes",
    "string_unicode": "holds letters that this locale cannot read; set LC_ALL=C.UTF-8",
    "string_too_short": "must not be empty",
    "literal_error": lambda c: f"must be {c['expected']}",
    "too_short": lambda c: f"must have at least {c['min_length']}",
    "tuple_type": "must be a list in brackets",
    "dict_type": "must be a table of keys",
    "model_type": "must be a table of keys",
    "model_attributes_type": "must be a table of keys",
}


def words_for(error: Mapping[str, Any]) -> str:
    """Return the words for one of `ValidationError.errors()`, without the given value."""
    words = WORDS.get(error["type"])
    if words is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return words if isinstance(words, str) else words(error.get("ctx", {}))


def toml_text(value: object) -> str:
    """Return a value in TOML's notation."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {toml_text(part)}' for key, part in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_text, value))}]"
    return repr(value)


def is_explained_by_items(
    error: Mapping[str, Any], locations: Sequence[tuple[str | int, ...]]
) -> bool:
    """Return True if a list or table is too short only because its items are wrong.

    Args:
        error: one of `ValidationError.errors()`.
        locations: the places (`loc`) of all errors.
    """
    place = error["loc"]
    inside = any(len(other) > len(place) and other[: len(place)] == place for other in locations)
    return error["type"] == "too_short" and inside


def _is_no_number(value: Any) -> bool:
    return isinstance(value, bool | str | bytes)


def _number(value: Any) -> Any:
    """Refuse texts and switches as numbers."""
    if _is_no_number(value):
        raise PydanticKnownError("float_type")
    return value


def _whole(value: Any) -> Any:
    """Refuse texts and switches as whole numbers."""
    if _is_no_number(value):
        raise PydanticKnownError("int_type")
    return value


def _switch(value: Any) -> Any:
    """Refuse texts and numbers as switches."""
    if isinstance(value, int | float | str | bytes) and not isinstance(value, bool):
        raise PydanticKnownError("bool_type")
    return value


# Ranges stand before these in an annotation: the JSON Schema knows them only directly at the type.
IS_NUMBER, IS_WHOLE = BeforeValidator(_number), BeforeValidator(_whole)
Number = Annotated[float, IS_NUMBER]
Positive = Annotated[float, Field(gt=0), IS_NUMBER]
Whole = Annotated[int, IS_WHOLE]
Switch = Annotated[bool, BeforeValidator(_switch)]
