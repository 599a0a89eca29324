"""Inverted file of items with faiss: sort items into lists, search a few of the lists.

Points and queries: an item is [vector, bias], a user [vector, 1]; the product of the two is the
score without neighbours.

faiss is imported inside functions: the import takes 0.15 s, and workers never need it.

faiss and torch each bring an OpenMP runtime of their own. On macOS (libomp twice) that may end the
process with "OMP: Error #15": let both use one libomp, or set KMP_DUPLICATE_LIB_OK=TRUE before
Python starts. On Linux (libgomp twice) the only cost is that idle threads of one runtime spin
while the other works.
"""

from __future__ import annotations

import numpy as np
import torch

from recsys.data import Floats32, Ints64
from recsys.retrieval.index import ItemLists

ROUNDS = 10  # of k-means; twice as many gain 0.003 of recall at 16 probes, nothing at 64
# Items per list in the sample of k-means; 256 take 2.5 times as long and gain 0.01 of recall at
# 16 probes, nothing at 64.
SAMPLE = 64


def sort_into_lists(points: Floats32, n_lists: int, seed: int = 0) -> ItemLists:
    """Return lists of items with similar scores for all users.

    Largest product is no distance: by product, a point with a large bias is near to all points. One
    more coordinate gives all points the same length, and then the nearest points are those with the
    largest product (Bachrach et al., 2014, Speeding up the Xbox recommender system). Without the
    coordinate, lists follow bias alone: recall@10 is 0.3 instead of 0.99. Scaling vectors against
    biases gained nothing on trained models (0.5, 1, 2; 4 is worse).

    Cost: 1.3 CPU s for 100,000 items of dim 64, 24 for a million.

    Args:
        points: (n, dim + 1) float32.
        n_lists: 1..n.
        seed: seed of the sample and of the first centres.
    """
    import faiss

    _set_threads()
    # Only differences of biases count; the mean would make all points long and alike.
    centred = points - np.append(np.zeros(points.shape[1] - 1, np.float32), points[:, -1].mean())
    length = np.einsum("ij,ij->i", centred, centred)
    completed = np.column_stack([centred, np.sqrt(length.max() - length)]).astype(np.float32)
    means = faiss.Kmeans(
        completed.shape[1],
        n_lists,
        niter=ROUNDS,
        seed=seed,
        max_points_per_centroid=SAMPLE,
        min_points_per_centroid=1,  # below it only warns
    )
    means.train(completed)
    _, of_items = means.assign(completed)
    centres = means.centroids
    assert centres is not None
    # |q - c|^2 = |q|^2 - 2 <q, c> + |c|^2: the nearest centre has the largest <q, c> - |c|^2 / 2.
    bias = centres[:, -2] - np.einsum("ij,ij->i", centres, centres) / 2
    return ItemLists(
        np.column_stack([centres[:, :-2], bias]).astype(np.float32), of_items.astype(np.int32)
    )


class ListSearch:
    """Items in their lists, ready to be searched by any number of threads.

    Args:
        points: (n, dim + 1) float32; copied.
        lists: lists of these points.

    Attributes:
        n_lists: number of lists.
    """

    def __init__(self, points: Floats32, lists: ItemLists) -> None:
        import faiss

        dim, metric = points.shape[1], faiss.METRIC_INNER_PRODUCT
        self.n_lists = len(lists.points)
        self._lists = faiss.IndexFlat(dim, metric)  # kept alive here: the index only borrows it
        self._lists.add(lists.points)
        self._index = faiss.IndexIVFFlat(self._lists, dim, len(lists.points), metric)
        # `add` would search the nearest lists again: 5 s for a million items, add_core takes 0.5.
        points = np.ascontiguousarray(points)
        of_items = lists.of_items.astype(np.int64)
        self._index.add_core(len(points), faiss.swig_ptr(points), None, faiss.swig_ptr(of_items))
        self._index.make_direct_map()

    def best(self, queries: Floats32, m: int, probes: int) -> Ints64:
        """Return the m items with the largest products in the best lists of each query.

        Args:
            queries: (b, dim + 1) float32.
            m: at least 1.
            probes: lists searched per query.

        Returns:
            (b, m) int64 items, best first, -1 where the lists hold no more.
        """
        import faiss

        _set_threads()
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = probes
        _, items = self._index.search(np.ascontiguousarray(queries), m, params=parameters)
        return items

    def points(self, items: Ints64) -> Floats32:
        """Return the points of items (c,) as they were given, (c, dim + 1) float32."""
        return self._index.reconstruct_batch(items)


def _set_threads() -> None:
    """Give faiss as many threads as torch has; OpenMP stores the number per calling thread."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
