"""implicit's ALS and BPR."""

from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy import sparse
from worker import Arrays, serve, shape

MODELS = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}


def fit(data: Arrays, history: Arrays, params: dict[str, Any], seed: int) -> Arrays:
    del history  # the same as `data`: these models have a row of weights for each user
    settings = dict(params)
    kind = settings.pop("model")
    values = data[settings.pop("values", "binary")]
    matrix = sparse.csr_matrix((values, (data["users"], data["items"])), shape(data))
    model = MODELS[kind](**settings, random_state=seed, num_threads=1)
    model.fit(matrix, show_progress=False)
    return {
        "users": np.asarray(model.user_factors, np.float32),
        "items": np.asarray(model.item_factors, np.float32),
    }


if __name__ == "__main__":
    serve(fit, ["implicit", "numpy", "scipy"])
