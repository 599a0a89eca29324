"""Bodies of hpo.serve's requests and responses: fields, limits, and conversion to questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from recsys.retrieval import MAX_K, Answer, IndexFacts, Question, RequestError

MAX_BODY_BYTES = 1 << 20
MAX_ITEMS = 10_000
MAX_BATCH = 1000
MAX_ANSWERS = 100_000  # items in one reply: they take 0.1 s, in which no other request is answered


def _as_text(given: object) -> object:
    """Return an id as text: 196 becomes "196"; True and 196.0 are no ids.

    Raises:
        ValueError: the id is neither a string nor an integer.
    """
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
    """A question for one person: give `user_id` or `history`. Ids may be strings or integers."""

    user_id: Id | None = Field(
        None, description="id of a known user; unknown users get popular items"
    )
    history: Ids | None = Field(None, description="item ids of a new user, oldest first")
    times: Annotated[list[Time], Field(max_length=MAX_ITEMS)] | None = Field(
        None, description="one time per item of `history`, in any unit; the items are sorted by it"
    )
    exclude: Ids = Field([], description="item ids that must not be recommended")
    k: int = Field(10, ge=1, le=MAX_K, strict=True, description="number of items")

    @model_validator(mode="after")
    def _is_a_question(self) -> Self:
        """Refuse a body that is no question.

        Raises:
            ValueError: `recsys` refuses the combination of fields.
        """
        try:
            self.question()
        except RequestError as error:
            raise ValueError(str(error)) from None
        return self

    def question(self) -> Question:
        """Return the question in the form that `recsys` answers."""
        return Question(self.user_id, self.history, self.times, self.exclude, self.k)


class AskMany(_Body):
    """Several questions in one request."""

    requests: list[Ask] = Field(
        max_length=MAX_BATCH, description=f"the questions; their k add up to at most {MAX_ANSWERS}"
    )

    @model_validator(mode="after")
    def _is_bearable(self) -> Self:
        """Refuse a request for too many items.

        Raises:
            ValueError: the k of all questions add up to more than MAX_ANSWERS.
        """
        total = sum(ask.k for ask in self.requests)
        if total > MAX_ANSWERS:
            raise ValueError(
                f"k of all requests add up to {total}, at most {MAX_ANSWERS} are answered at once; "
                "split them into several requests"
            )
        return self


# Answers are dataclasses: eleven pydantic models per response would take a third of its time.
@dataclass(slots=True)
class Item:
    """One recommended item.

    Attributes:
        item_id: id of the item.
        score: the higher, the better; a count if the source is "popular".
    """

    item_id: str
    score: float


@dataclass(slots=True)
class Found:
    """Recommended items for one person, best first.

    Attributes:
        items: the items.
        source: "popular" if nothing is known about this person.
        version: version of the model that answered.
        unknown_items: items of the given history that the model does not know; absent if none.
    """

    items: list[Item]
    source: Literal["model", "popular"]
    version: str
    unknown_items: list[str] | None = None

    @classmethod
    def of(cls, answer: Answer, version: str) -> Self:
        """Convert an answer of `recsys`.

        Args:
            answer: the answer.
            version: version of the model that answered.
        """
        items = [Item(item, score) for item, score in answer.items]
        return cls(items, answer.source, version, list(answer.unknown_items) or None)


@dataclass(slots=True)
class FoundMany:
    """Answers in the order of the questions, all from the same model."""

    results: list[Found]


class Problem(BaseModel):
    """The reason for a missing answer."""

    detail: str


class Ready(BaseModel):
    """The state of the served model."""

    ready: bool
    model: str
    version: str
    exact: bool = Field(description="true if all items are scored for each answer")
    index: IndexFacts | None = Field(description="facts on the index, if answers are not exact")
    problem: str | None = Field(
        description="why a newer version is not served, or MLflow cannot be asked for one"
    )


class Health(BaseModel):
    """The sign that the process is alive."""

    status: Literal["ok"] = "ok"
