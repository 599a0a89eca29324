"""The registered form of a model: safetensors and JSON beside the code that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import recsys
from recsys.artifacts import pinned_requirements

REQUIREMENTS = ("mlflow", "numpy", "pandas", "safetensors", "torch")


def save_pyfunc(folder: Path, example_user: str, path: Path, model: Any) -> None:
    """Write an MLflow pyfunc without pickles: a model from code, with `recsys` beside it.

    Args:
        folder: folder of a checkpoint, which is copied whole.
        example_user: a user id for the input example.
        path: folder to write.
        model: the `mlflow.models.Model` that will describe the pyfunc.
    """
    import mlflow.pyfunc
    import pandas as pd  # type: ignore[import-untyped]

    mlflow.pyfunc.save_model(
        path,
        mlflow_model=model,
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"model": str(folder)},
        code_paths=[str(Path(recsys.__file__).parent)],
        pip_requirements=pinned_requirements(*REQUIREMENTS),
        signature=_signature(),
        input_example=(pd.DataFrame({"user_id": [example_user]}), {"k": 10}),
    )


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    answers = {
        "user_id": DataType.string,
        "rank": DataType.long,
        "item_id": DataType.string,
        "score": DataType.double,
        "source": DataType.string,
    }
    # JSON text instead of an Array: with an Array in the schema MLflow takes the columns of
    # `inputs` as one row, and CSV cannot hold an Array.
    history = ColSpec(DataType.string, "history", required=False)
    return ModelSignature(
        Schema([ColSpec(DataType.string, "user_id"), history]),
        Schema([ColSpec(kind, name) for name, kind in answers.items()]),
        ParamSchema([ParamSpec("k", DataType.long, 10)]),
    )
