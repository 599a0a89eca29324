"""The JSON Schema of study files, for editors.

Run `python -m hpo.config.json_schema > studies/study.schema.json` after each change of the config.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import NullableSchema, WithDefaultSchema

from hpo.config.parameter import Parameter
from hpo.config.study_config import StudyConfig
from hpo.config.validation import SEARCHABLE
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
    """Return the schema of a study file, with the ranges of all hyperparameters."""
    found = StudyConfig.model_json_schema(schema_generator=_WithoutNull)
    keys = found["properties"]
    numbers = {name: _number(name) for name in SEARCHABLE}
    _close(keys["base"], numbers)
    _close(keys["warm_starts"]["items"], numbers)
    when = found["$defs"][Parameter.__name__]["properties"]["when"]
    for table in (keys["space"], when):
        _close(table, dict.fromkeys(SEARCHABLE, table["additionalProperties"]))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _number(name: str) -> dict[str, Any]:
    """Return the schema of a hyperparameter's value."""
    low, high = TrainConfig.bounds(name)
    kind = "integer" if TrainConfig.is_integer(name) else "number"
    default = getattr(TrainConfig(), name)
    return {"type": kind, "minimum": low, "maximum": high, "default": default}


def _close(table: dict[str, Any], properties: dict[str, Any]) -> None:
    """Allow these keys and no others in a table's schema."""
    table |= {"properties": properties, "additionalProperties": False}


def main() -> None:
    """Print the schema to stdout."""
    print(json.dumps(schema(), indent=2))


if __name__ == "__main__":
    main()
