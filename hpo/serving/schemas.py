"""What goes over the wire of hpo.serve: shapes, sizes, and how they become questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from recsys.retrieval import MAX_K, Answer, IndexFacts, Question, RequestError

MAX_BODY_BYTES = 1 << 20
MAX_ITEMS = 10_000
MAX_BATCH = 1000
MAX_ANSWERS = 100_000  # items in one reply: 0.1 s in which nobody else is answered


def _as_text(given: object) -> object:
    """196 as "196": ids are often numbers. True and 196.0 are no ids."""
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError("must be a string or an integer")  # noqa: TRY004  (as pydantic wants it)
    return str(given)


Id = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    BeforeValidator(_as_text, json_schema_input_type=str | int),
]
Ids = Annotated[list[Id], Field(max_length=MAX_ITEMS)]
Time = Annotated[float, Field(allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ask(_Body):
    """What to recommend to whom: give `user_id` or `history`. Ids may be strings or integers."""

    user_id: Id | None = Field(None, description="a known user; others get what is popular")
    history: Ids | None = Field(None, description="item ids of a new user, oldest first")
    times: Annotated[list[Time], Field(max_length=MAX_ITEMS)] | None = Field(
        None, description="one for each item of `history`, in any unit; puts them in order"
    )
    exclude: Ids = Field([], description="item ids that must not be answered")
    k: int = Field(10, ge=1, le=MAX_K, strict=True, description="how many items")

    @model_validator(mode="after")
    def _is_a_question(self) -> Self:
        try:
            self.question()
        except RequestError as error:
            raise ValueError(str(error)) from None
        return self

    def question(self) -> Question:
        """The same for `recsys`."""
        return Question(self.user_id, self.history, self.times, self.exclude, self.k)


class AskMany(_Body):
    """Several questions in one request."""

    requests: list[Ask] = Field(
        max_length=MAX_BATCH, description=f"their k add up to at most {MAX_ANSWERS}"
    )

    @model_validator(mode="after")
    def _is_bearable(self) -> Self:
        total = sum(ask.k for ask in self.requests)
        if total > MAX_ANSWERS:
            raise ValueError(
                f"k of all requests add up to {total}, at most {MAX_ANSWERS} are answered at once; "
                "ask in several"
            )
        return self


# Answers are dataclasses: eleven pydantic models a response would take a third of its time.
@dataclass(slots=True)
class Item:
    """One recommended item."""

    item_id: str
    score: float


@dataclass(slots=True)
class Found:
    """What one person is recommended, best first.

    source: "popular" if nothing is known about this person; scores are counts then.
    version: of the model that answered.
    unknown_items: those of the given history that the model does not know; absent if none.
    """

    items: list[Item]
    source: Literal["model", "popular"]
    version: str
    unknown_items: list[str] | None = None

    @classmethod
    def of(cls, answer: Answer, version: str) -> Self:
        """From what `recsys` answers."""
        items = [Item(item, score) for item, score in answer.items]
        return cls(items, answer.source, version, list(answer.unknown_items) or None)


@dataclass(slots=True)
class FoundMany:
    """One answer to each question, in order; all from the same model."""

    results: list[Found]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


class Ready(BaseModel):
    """What is being served."""

    ready: bool
    model: str
    version: str
    exact: bool = Field(description="all items are looked at for each answer")
    index: IndexFacts | None = Field(description="what finds answers that are not exact")
    problem: str | None = Field(
        description="why a newer version is not served, or MLflow cannot be asked for one"
    )


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"
