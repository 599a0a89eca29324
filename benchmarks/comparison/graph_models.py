"""Peers that need no library: popularity, own history, kNN, EASE, RP3beta.

Each takes the rows that users have, and returns the scores of all items for all users,
(n_users, n_items) float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from recsys.data.interactions import Interactions

Scores = npt.NDArray[np.float32]
Params = Mapping[str, Any]


def user_item_matrix(seen: Interactions, values: str = "binary") -> sparse.csr_array:
    """(n_users, n_items) float32: 1 where a user has an item, or how often ("count", "log")."""
    ones = np.ones(len(seen), np.float32)
    shape = seen.n_users, seen.n_items
    matrix = sparse.csr_array((ones, (seen.users, seen.items)), shape)
    matrix.sum_duplicates()
    if values == "binary":
        matrix.data[:] = 1
    elif values == "log":
        matrix.data[:] = np.log1p(matrix.data)
    return matrix


def popularity(seen: Interactions, params: Params) -> Scores:
    del params
    counts = np.bincount(seen.items, minlength=seen.n_items).astype(np.float32)
    return np.tile(counts, (seen.n_users, 1))


def own_history(seen: Interactions, params: Params) -> Scores:
    """What the user has taken often and lately, then what is popular: for repeats only.

    The newest of a user's rows counts 1, one of age a (in rows) exp(-a / decay).
    """
    age = seen.offsets[seen.users + 1] - 1 - np.arange(len(seen))
    scores = popularity(seen, params)
    scores /= 1e6 * max(1.0, float(scores.max()))  # less than any row of the user's own
    recent = np.exp(-age / params["decay"]) + 1e-4
    np.add.at(scores, (seen.users, seen.items), recent.astype(np.float32))
    return scores


def item_knn(seen: Interactions, params: Params) -> Scores:
    """Cosine between items; users with many items can be made to count less.

    With `decay`, a user's item of age a (in rows, the newest is 0) asks with exp(-a / decay):
    what was taken lately counts more (Ding and Li 2005, "Time weight collaborative filtering").
    """
    has = user_item_matrix(seen, params.get("values", "binary"))
    length = np.diff(has.indptr).clip(1)
    by_user = sparse.diags_array(length.astype(np.float32) ** -params["user_discount"])
    near = _neighbours((by_user @ has).T.tocsr(), params)
    asks = _recent(seen, params["decay"]) if "decay" in params else has
    return _dense(asks @ near.T)


def _recent(seen: Interactions, decay: float) -> sparse.csr_array:
    """(n_users, n_items): exp(-age / decay) of each row, repeats added up."""
    age = seen.offsets[seen.users + 1] - 1 - np.arange(len(seen))
    values = np.exp(-age / decay).astype(np.float32)
    return sparse.csr_array((values, (seen.users, seen.items)), (seen.n_users, seen.n_items))


def user_knn(seen: Interactions, params: Params) -> Scores:
    """Cosine between users; items that many have can be made to count less."""
    has = user_item_matrix(seen, params.get("values", "binary"))
    owners = np.bincount(has.indices, minlength=seen.n_items).clip(1)
    by_item = sparse.diags_array(owners.astype(np.float32) ** -params["item_discount"])
    return _dense(_neighbours((has @ by_item).tocsr(), params) @ has)


def rp3beta(seen: Interactions, params: Params) -> Scores:
    """Three random steps user, item, user, item; popular ends are discounted.

    Source: Paudel, Christoffel, Newell, Bernstein 2017, "Updatable, accurate, diverse, and
    scalable recommendations for interactive applications", with the alpha of Cooper et al. 2014.
    """
    has = user_item_matrix(seen, params.get("values", "binary"))
    forth, back = _transitions(has, params["alpha"]), _transitions(has.T, params["alpha"])
    degree = np.bincount(has.indices, minlength=seen.n_items).clip(1)
    by_item = sparse.diags_array(degree.astype(np.float32) ** -params["beta"])
    walk = ((back @ forth) @ by_item).tocsr()
    if not params.get("keep_self"):
        walk.setdiag(0)
    return _dense(has @ _keep_largest(walk, params["neighbours"]))


def ease(seen: Interactions, params: Params) -> Scores:
    """The linear autoencoder without self-loops, exact, by the smaller of its two inversions.

    Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data". With P the inverse
    of X'X + r and K = XX', X P = inverse(K + r) X: users are cheaper to invert than items where
    there are fewer of them.
    """
    has = user_item_matrix(seen, params.get("values", "binary")).astype(np.float64)
    ridge = params["regularization"]
    if has.shape[0] < has.shape[1]:
        dense = torch.from_numpy(has.toarray())
        factor = torch.linalg.cholesky(_ridged(has @ has.T, ridge))
        projected = torch.cholesky_solve(dense, factor)
        diagonal = (1 - (dense * projected).sum(0)) / ridge
        return (dense - projected / diagonal).float().numpy()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(_ridged(has.T @ has, ridge)))
    weights = (inverse / -inverse.diagonal()).fill_diagonal_(0).float().numpy()
    return np.asarray(has.astype(np.float32) @ weights)


def _ridged(gram: sparse.csr_array, ridge: float) -> torch.Tensor:
    dense = torch.from_numpy(gram.toarray())
    dense.diagonal().add_(ridge)
    return dense


def _neighbours(rows: sparse.csr_array, params: Params) -> sparse.csr_array:
    """Cosine of rows, shrunk for those with little in common; each row keeps its nearest."""
    together = (rows @ rows.T).tocoo()
    norm = np.sqrt(rows.multiply(rows).sum(1))
    together.data /= norm[together.row] * norm[together.col] + params["shrink"]
    near = together.tocsr()
    if not params.get("keep_self"):
        near.setdiag(0)
    return _keep_largest(near, params["neighbours"])


def _transitions(matrix: sparse.sparray, power: float) -> sparse.csr_array:
    """Probabilities of one step from each row, to some power."""
    rows = sparse.csr_array(matrix)
    total = rows.sum(1)
    rows = sparse.csr_array(sparse.diags_array(1 / np.where(total > 0, total, 1)) @ rows)
    rows.data **= power
    return rows


def _keep_largest(matrix: sparse.csr_array, k: int) -> sparse.csr_array:
    """Each row's k largest values; the rest becomes 0."""
    for begin, end in pairwise(matrix.indptr):
        surplus = end - begin - k
        if surplus > 0:
            values = matrix.data[begin:end]
            values[np.argpartition(values, surplus)[:surplus]] = 0
    matrix.eliminate_zeros()
    return matrix


def _dense(scores: sparse.sparray) -> Scores:
    return np.ascontiguousarray(scores.toarray(), np.float32)
