"""Features: attributes of users or items, such as a genre or an age, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints32 = npt.NDArray[np.int32]
Ints64 = npt.NDArray[np.int64]
Floats32 = npt.NDArray[np.float32]
FEATURES = ("item_features", "user_features")  # fields of Interactions


@dataclass(frozen=True, eq=False)
class Features:
    """A bag of feature codes, and perhaps a dense vector, for each of n users or items.

    Codes of one column follow each other: the first column has 0..sizes[0] - 1, the next column
    continues from there. The values behind the codes are not stored, so none can leak from here.

    Attributes:
        codes: (m,) int32, the bags end to end, ascending within each bag.
        offsets: (n + 1,) int64; the bag of row i is codes[offsets[i]:offsets[i + 1]], perhaps
            empty.
        columns: names of the source columns.
        sizes: number of codes of each column.
        vectors: (n, w) float32, the columns of vectors side by side; 0 in rows without one. None
            without such columns.
        vector_columns: names of the source columns of `vectors`.
        widths: numbers of each of these columns.
    """

    codes: Ints32
    offsets: Ints64
    columns: tuple[str, ...]
    sizes: tuple[int, ...]
    vectors: Floats32 | None = None
    vector_columns: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_codes(self) -> int:
        """Return the number of codes; the codes are 0..n_codes - 1."""
        return sum(self.sizes)

    @property
    def n_embeddings(self) -> int:
        """Return the number of embeddings that a model trains: of codes, then of vector places."""
        return self.n_codes + sum(self.widths)

    def describe(self) -> str:
        """Return a line for people: "release_year (20), class (19); 1,680 of 1,682 have some"."""
        named = zip(self.columns, self.sizes, strict=True)
        wide = zip(self.vector_columns, self.widths, strict=True)
        columns = [f"{column} ({size:,})" for column, size in named]
        columns += [f"{column} (vectors of {width:,} numbers)" for column, width in wide]
        has = np.diff(self.offsets) > 0
        if self.vectors is not None:
            has |= self.vectors.any(1)
        return f"{', '.join(columns)}; {int(has.sum()):,} of {len(self):,} have some"

    def to_columns(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to store, by name; `facts` returns the rest.

        Args:
            prefix: start of each name.
        """
        found: dict[str, npt.NDArray[Any]] = {
            f"{prefix}.codes": self.codes,
            f"{prefix}.offsets": self.offsets,
        }
        return found if self.vectors is None else {**found, f"{prefix}.vectors": self.vectors}

    def facts(self) -> dict[str, Any]:
        """Return the columns and sizes as plain JSON values; those of vectors if there are any."""
        found: dict[str, Any] = {"columns": list(self.columns), "sizes": list(self.sizes)}
        if self.vectors is None:
            return found
        return {**found, "vectors": dict(zip(self.vector_columns, self.widths, strict=True))}

    @classmethod
    def from_columns(
        cls, prefix: str, columns: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]
    ) -> Features:
        """Build features from the results of `to_columns` and `facts`.

        Args:
            prefix: the prefix given to `to_columns`.
            columns: arrays by name; other arrays are ignored.
            facts: the result of `facts`.

        Raises:
            KeyError: an array or a fact is missing.
            ValueError: codes, offsets and sizes contradict each other.
        """
        codes, offsets = columns[f"{prefix}.codes"], columns[f"{prefix}.offsets"]
        wide: dict[str, int] = facts.get("vectors", {})
        vectors = columns[f"{prefix}.vectors"] if wide else None
        found = cls(
            codes, offsets, tuple(facts["columns"]), tuple(facts["sizes"]),
            vectors, tuple(wide), tuple(wide.values()),
        )  # fmt: skip
        if vectors is not None and vectors.shape != (len(found), sum(found.widths)):
            raise ValueError(f"{prefix}: vectors and offsets do not fit together")
        if (
            len(offsets) == 0
            or offsets[0] != 0
            or offsets[-1] != len(codes)
            or (np.diff(offsets) < 0).any()
            or (len(codes) > 0 and not 0 <= codes.min() <= codes.max() < found.n_codes)
        ):
            raise ValueError(f"{prefix}: codes and offsets do not fit together")
        return found
