"""The JSON Schema of study files, for editors.

Run `python -m hpo.config.json_schema > studies/study.schema.json` after each change of the config.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import NullableSchema, WithDefaultSchema

from hpo.config.cross_checks import searchable
from hpo.config.study_config import StudyConfig
from recsys.config import TrainConfig


class _WithoutNull(GenerateJsonSchema):
    """A schema generator without null, which TOML lacks, and without titles, which repeat keys."""

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        """Return the schema of the type without None."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema with its default, unless the default is None."""
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        """Return False: no field gets a title."""
        return False


def schema() -> dict[str, Any]:
    """Return the schema of a study file; without a trainable, with all hyperparameters' ranges."""
    found = StudyConfig.model_json_schema(schema_generator=_WithoutNull)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "if": {"not": {"required": ["trainable"]}},
        "then": {"properties": _two_tower()},
    }


def _two_tower() -> dict[str, Any]:
    """Return the schemas of bases, space and warm starts in a study of the two-tower."""
    numbers = {name: _number(name) for name in searchable()}
    values = {"properties": numbers, "additionalProperties": False}
    names = {"propertyNames": {"enum": list(searchable())}}
    space = {**names, "additionalProperties": {"properties": {"when": names}}}
    warm_starts = {"items": values}
    return {"base": values, "base_on_gpu": values, "space": space, "warm_starts": warm_starts}


def _number(name: str) -> dict[str, Any]:
    """Return the schema of a hyperparameter's value."""
    low, high = TrainConfig.bounds(name)
    kind = "integer" if TrainConfig.is_integer(name) else "number"
    default = getattr(TrainConfig(), name)
    return {"type": kind, "minimum": low, "maximum": high, "default": default}


def main() -> None:
    """Print the schema to stdout."""
    print(json.dumps(schema(), indent=2))


if __name__ == "__main__":
    main()
