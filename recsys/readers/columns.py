"""Which column is which: common spellings, the user's overrides, and what event words weigh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recsys.messages import listed

Role = Literal["user", "item", "time", "event"]

# Compared after `squeeze`: lower case, letters and digits only, so "user_id", "userId" and
# "User ID" are one spelling.
SPELLINGS: dict[Role, tuple[str, ...]] = {
    "user": (
        "user_id", "user", "uid", "usuario_id", "id_usuario", "usuario", "customer_id",
        "id_customer", "customer", "cliente_id", "id_cliente", "cliente", "visitor_id",
        "reviewer_id", "member_id",
    ),
    "item": (
        "item_id", "item", "movie_id", "product_id", "producto_id", "sku", "iid", "product",
        "id_producto", "producto", "movie", "artist_id", "track_id", "song_id", "book_id",
        "isbn", "asin", "article_id", "stock_code", "game_id", "recipe_id", "business_id",
        "articulo_id", "id_articulo", "video_id",
    ),
    "time": (
        "timestamp", "time", "ts", "date", "datetime", "fecha", "fecha_hora", "event_time",
        "created_at", "marca_de_tiempo", "unix_time", "unix_review_time", "invoice_date",
        "order_date", "t_dat",
    ),
    "event": ("event", "event_type", "tipo_interaccion", "tipo_de_interaccion", "tipo_evento",
              "tipo", "interaction_type", "behavior"),
}  # fmt: skip

# Nothing is made of ratings, but low ones are told: they count as interest like any row.
RATINGS = frozenset({"rating", "ratings", "stars", "overall", "puntuacion", "calificacion"})

# A side table may call its own id just "id"; in the interactions that would say nothing.
SIDE_TABLE_ID = "id"

# Weight 0: the opposite of interest; such rows are left out.
_EVENT_WORDS: dict[float, tuple[str, ...]] = {
    0.0: ("return", "returned", "refund", "refunded", "cancel", "cancelled", "canceled",
          "remove_from_cart", "devolucion", "devolución", "devuelto", "cancelado",
          "eliminado_del_carrito"),
    1.0: ("view", "views", "viewed", "page_view", "pageview", "pv", "detail", "visto", "vista",
          "visita", "ver"),
    2.0: ("click", "clicks", "clicked", "clic", "clics"),
    3.0: ("cart", "add_to_cart", "addtocart", "added_to_cart", "carrito", "agregado_al_carrito",
          "agregar_al_carrito", "añadido_al_carrito", "anadido_al_carrito"),
    5.0: ("purchase", "purchased", "buy", "bought", "order", "transaction", "compra", "comprado",
          "comprar", "pedido"),
}  # fmt: skip
EVENT_WEIGHTS: dict[str, float] = {
    word: weight for weight, words in _EVENT_WORDS.items() for word in words
}


@dataclass(frozen=True)
class Columns:
    """Column names the user insists on; None means "recognise it by its spelling"."""

    user: str | None = None
    item: str | None = None
    time: str | None = None

    def named(self, role: Role) -> str | None:
        """The override for a role; there is none for the event column."""
        return {"user": self.user, "item": self.item, "time": self.time, "event": None}[role]


AUTO = Columns()


def squeeze(name: str) -> str:
    """A name without case, blanks and punctuation."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def find_column(
    role: Role,
    names: Sequence[str],
    where: str,
    columns: Columns,
    problems: list[str],
    advice: str = "",
) -> str | None:
    """The column of an interactions file that plays `role`, or None.

    A missing user or item column, a wrong override, or two candidates are added to `problems`;
    time and event are optional. `advice` ends the message about two candidates.
    """
    asked = columns.named(role)
    if asked is not None:
        if asked in names:
            return asked
        problems.append(
            f"{where}: --{role}-col names column {asked!r}, which is not there; "
            f"columns found: {listed(names)}"
        )
        return None
    found = matching_columns(role, names)
    if len(found) > 1:
        cure = "rename or remove one" if role == "event" else f"choose one with --{role}-col"
        problems.append(f"{where}: {listed(found)} all look like the {role} column; {cure}{advice}")
    elif not found and role in ("user", "item"):
        problems.append(
            f"{where}: no {role} column; columns found: {listed(names)}; name it with "
            f"--{role}-col, or rename it to one of {', '.join(SPELLINGS[role][:6])}"
        )
    return found[0] if len(found) == 1 else None


def matching_columns(role: Role, names: Sequence[str]) -> list[str]:
    """Columns whose spelling fits the role, in file order."""
    spellings = {squeeze(spelling) for spelling in SPELLINGS[role]}
    return [name for name in names if squeeze(name) in spellings]


def event_weight(word: str) -> float | None:
    """Weight of one event word (any case, blanks or hyphens for underscores); None if unknown."""
    return EVENT_WEIGHTS.get("_".join(word.casefold().replace("-", " ").split()))


def is_data(cell: str) -> bool:
    """Whether this "column name" is a number or an e-mail address: the file has no header line."""
    return "@" in cell or cell.replace(".", "").replace("-", "").isdigit()
