"""Bodies of hpo.serve's requests and responses: fields, limits, and conversion to questions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, core_schema

from recsys.retrieval import MAX_K, Answer, IndexFacts, Question, RequestError

MAX_BODY_BYTES = 1 << 20
MAX_ITEMS = 10_000
MAX_BATCH = 1000
MAX_ID = 1024  # characters of an id
MOST_REASONS = 5  # problems that a refusal tells
MAX_ANSWERS = 100_000  # items in one reply: they take 0.1 s, in which no other request is answered


def _as_text(given: object) -> object:
    """Return an id as text: 196 becomes "196"; True and 196.0 are no ids.

    Raises:
        ValueError: the id is neither a string nor an integer.
    """
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError("must be a string or an integer")  # noqa: TRY004  (as pydantic wants it)
    return str(given)


class _ListedId:
    """The schema of an id in a list: what `Id` allows, with one message for all that it does not.

    No Python runs for each id: 500,000 of them fit into one body, and `_as_text` would keep all
    other requests waiting four times as long.
    """

    def __get_pydantic_core_schema__(self, *_: object) -> core_schema.CoreSchema:
        """Return the schema, as pydantic asks for it."""
        text = core_schema.str_schema(strict=True, min_length=1, max_length=MAX_ID)
        return core_schema.union_schema(
            [text, core_schema.int_schema(strict=True)],
            mode="left_to_right",
            custom_error_type="id",
            custom_error_message=f"must be a string of 1 to {MAX_ID} characters or an integer",
        )


Id = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID),
    BeforeValidator(_as_text, json_schema_input_type=str | int),
]
# Lists fail at their first bad element: a small body may have 300,000, and an error for each would
# take a second and a gigabyte.
Ids = Annotated[
    list[Annotated[str | int, _ListedId()]], Field(max_length=MAX_ITEMS, fail_fast=True)
]
Time = Annotated[float, Field(allow_inf_nan=False)]


class _Body(BaseModel):
    """A body whose unknown fields are refused, the first few by name.

    `extra="forbid"` would make an error for each of them, and a body has room for 100,000.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        """Refuse unknown fields.

        Raises:
            ValidationError: there are some.
        """
        if unknown := self.__pydantic_extra__:
            errors = [
                InitErrorDetails(type="extra_forbidden", loc=(name,), input=None)
                for name in islice(unknown, MOST_REASONS)
            ]
            raise ValidationError.from_exception_data(type(self).__name__, errors)
        return self


class RecommendRequest(_Body):
    """A question for one person: give `user_id` or `history`. Ids may be strings or integers."""

    user_id: Id | None = Field(
        None, description="id of a known user; unknown users get popular items"
    )
    history: Ids | None = Field(None, description="item ids of a new user, oldest first")
    times: Annotated[list[Time], Field(max_length=MAX_ITEMS, fail_fast=True)] | None = Field(
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
            _ = self.question
        except RequestError as error:
            raise ValueError(str(error)) from None
        return self

    @cached_property
    def question(self) -> Question:
        """Return the question in the form that `recsys` answers."""
        return Question(self.user_id, self.history, self.times, self.exclude, self.k)


class BatchRequest(_Body):
    """Several questions in one request."""

    requests: list[RecommendRequest] = Field(
        fail_fast=True,
        max_length=MAX_BATCH,
        description=f"the questions; their k add up to at most {MAX_ANSWERS}",
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
