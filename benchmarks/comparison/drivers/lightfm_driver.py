"""LightFM with the WARP loss, without side features."""

from typing import Any

import numpy as np
from lightfm import LightFM
from scipy import sparse
from worker import Arrays, serve, shape


def fit(data: Arrays, history: Arrays, params: dict[str, Any], seed: int) -> Arrays:
    del history  # the same as `data`: these models have a row of weights for each user
    settings = {name: value for name, value in params.items() if name not in ("epochs", "model")}
    values = data["binary"]
    matrix = sparse.coo_matrix((values, (data["users"], data["items"])), shape(data))
    model = LightFM(loss="warp", random_state=seed, **settings)
    model.fit(matrix, epochs=params["epochs"], num_threads=1)
    item_bias, items = model.get_item_representations()
    _, users = model.get_user_representations()
    one = np.ones((len(users), 1), np.float32)
    return {"users": np.hstack([users, one]), "items": np.hstack([items, item_bias[:, None]])}


if __name__ == "__main__":
    serve(fit, ["lightfm-next", "numpy", "scipy"])
