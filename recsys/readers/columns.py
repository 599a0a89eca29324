"""Recognition of columns by common spellings, the user's overrides, and weights of event words."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from recsys.errors import DataError
from recsys.messages import listed

Role = Literal["user", "item", "time", "event", "rating"]

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
    # Used with --min-rating only; without it the notes report low ratings.
    "rating": ("rating", "ratings", "stars", "overall", "puntuacion", "calificacion"),
}  # fmt: skip

# Looked for where none of the spellings above occurs. Time and event have no further names: files
# without such a column can be read today, and a new name would change what they contain.
FURTHER: dict[Role, tuple[str, ...]] = {
    "user": (
        "user_pseudo_id", "client_id", "buyer_id", "account_id", "subscriber_id", "profile_id",
        "person_id", "player_id", "household_id", "household_key", "customer_unique_id",
        "anonymous_id", "device_id", "session_id", "username", "comprador_id", "socio_id",
    ),
    "item": (
        "parent_asin", "news_id", "content_id", "title_id", "show_id", "film_id", "anime_id",
        "hotel_id", "restaurant_id", "place_id", "venue_id", "poi_id", "location_id", "post_id",
        "course_id", "app_id", "listing_id", "offer_id", "goods_id", "item_code", "product_code",
        "pelicula_id", "libro_id", "cancion_id",
    ),
}  # fmt: skip

# Looked for where none of the spellings of both lists occurs: some mean other things in English.
OTHER_LANGUAGES: dict[Role, tuple[str, ...]] = {
    "user": (
        "kunde", "kunde_id", "kunden_id", "kundennummer", "kunden_nr", "nutzer", "nutzer_id",
        "benutzer", "benutzer_id", "client", "id_client", "utilisateur", "utilisateur_id",
        "id_utilisateur", "utente", "utente_id", "id_utente", "usuário", "usuário_id",
        "id_usuário", "utilizador", "utilizador_id", "id_utilizador",
    ),
    "item": (
        "artikel", "artikel_id", "artikelnummer", "artikel_nr", "produkt", "produkt_id",
        "produktnummer", "article", "id_article", "produit", "produit_id", "id_produit",
        "articolo", "articolo_id", "id_articolo", "prodotto", "prodotto_id", "id_prodotto",
        "produto", "produto_id", "id_produto", "articulo", "artículo", "pelicula", "película",
        "libro", "cancion", "canción",
    ),
}  # fmt: skip

# A side table may call its own id just "id"; among interactions that name says too little.
SIDE_TABLE_ID = "id"

# Weight 0 means the opposite of interest; such rows are left out.
_EVENT_WORDS: dict[float, tuple[str, ...]] = {
    0.0: ("return", "returned", "refund", "refunded", "cancel", "cancelled", "canceled",
          "remove_from_cart", "devolucion", "devolución", "devuelto", "cancelado",
          "eliminado_del_carrito"),
    1.0: ("view", "views", "viewed", "page_view", "pageview", "pv", "detail", "view_item",
          "visto", "vista", "visita", "ver"),
    2.0: ("click", "clicks", "clicked", "select_item", "clic", "clics"),
    3.0: ("cart", "add_to_cart", "addtocart", "added_to_cart", "carrito", "agregado_al_carrito",
          "agregar_al_carrito", "añadido_al_carrito", "anadido_al_carrito",
          "fav", "favorite", "favourite", "wishlist", "add_to_wishlist", "favorito"),
    5.0: ("purchase", "purchased", "buy", "bought", "order", "transaction", "compra", "comprado",
          "comprar", "pedido"),
}  # fmt: skip
EVENT_WEIGHTS: dict[str, float] = {
    word: weight for weight, words in _EVENT_WORDS.items() for word in words
}

# Marks of --time-format: those of strptime, and of chrono's that polars reads besides. Both read
# all of them alike but %f and %z, which timestamps.py translates.
_LETTERS = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUvVwWxXyYzZ+%"  # each perhaps after -, _ or 0
_LONGER = ("f", ":z", "::z", ":::z", "#z", ".f", ".3f", ".6f", ".9f", "3f", "6f", "9f")
_MARK = re.compile(rf"%(?:[-_0]?[{_LETTERS}]|{'|'.join(map(re.escape, _LONGER))})")


@dataclass(frozen=True)
class Columns:
    """Columns and their forms as given by the user; None means "recognise it by its spelling".

    Attributes:
        user: column of user ids (--user-col); without header lines, its position from 1.
        item: column of item ids (--item-col).
        time: column of times (--time-col).
        event: column of event words (--event-col).
        rating: column of ratings (--rating-col), used with a lowest rating only.
        header: False if the first line of text files is data (--no-header).
        time_format: format of strptime for texts of times (--time-format).
        event_weights: weights of words that are unknown or weigh otherwise (--event-weights), as
            a dict or as pairs.
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    event: str | None = None
    rating: str | None = None
    header: bool = True
    time_format: str | None = None
    event_weights: tuple[tuple[str, float], ...] | Mapping[str, float] = ()

    def __post_init__(self) -> None:
        """Check the format of times and the weights of events, and hold these as pairs.

        Raises:
            DataError: the format has an unknown mark, or a weight is negative or not finite.
        """
        if self.time_format is not None and (wrong := _format_fault(self.time_format)):
            raise DataError(f"--time-format {self.time_format!r}: {wrong}")
        given = self.event_weights
        pairs = tuple(given.items() if isinstance(given, Mapping) else given)
        object.__setattr__(self, "event_weights", pairs)
        if bad := [word for word, weight in pairs if not 0 <= weight < math.inf]:
            raise DataError(f"event_weights: {', '.join(bad)}: must be a finite number from 0 on")

    def named(self, role: Role) -> str | None:
        """Return the override for a role, or None."""
        return {
            "user": self.user,
            "item": self.item,
            "time": self.time,
            "event": self.event,
            "rating": self.rating,
        }[role]

    def event_weight(self, word: str) -> float | None:
        """Return the weight of an event word, or None if the word is unknown.

        Case does not matter, and blanks and hyphens count as underscores.
        """
        own = {_plain_word(known): weight for known, weight in dict(self.event_weights).items()}
        return own.get(_plain_word(word), EVENT_WEIGHTS.get(_plain_word(word)))


def _format_fault(form: str) -> str | None:
    """Return the fault of a format of times, with its cure; None if it can be read."""
    rest = _MARK.sub("", form)
    if "%" in rest:
        unknown = rest[rest.index("%") :][:2]
        known = ", ".join(f"%{mark}" for mark in (*_LETTERS, *_LONGER))
        return f"{unknown} is no mark of times; allowed are {known}"
    if re.search("(?<![.,%])%f", form):
        return (
            "%f is read only after a point or a comma, as in %S.%f; put one before it, or write "
            "%3f (milliseconds) or %6f (microseconds) for digits right after the seconds"
        )
    return None


AUTO = Columns()


def squeeze(name: str) -> str:
    """Return a name in lower case without blanks and punctuation."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def find_column(
    role: Role,
    names: Sequence[str],
    where: str,
    columns: Columns,
    problems: list[str],
    advice: str = "",
) -> str | None:
    """Return the column of an interactions file that plays `role`, or None.

    A missing user, item or rating column, an override that names no column, and two candidates
    are problems; time and event columns are optional.

    Args:
        role: the role.
        names: all column names of the file.
        where: name of the file for messages.
        columns: the user's overrides.
        problems: list that receives a line for each problem found.
        advice: end of the message about two candidates or none.
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
        cure = f"choose one with --{role}-col"
        problems.append(f"{where}: {listed(found)} all look like the {role} column; {cure}{advice}")
    elif not found and role in ("user", "item", "rating"):
        cure = (
            f"name it with --{role}-col, for instance --{role}-col {_example(role, names, columns)}"
        )
        if columns.header:
            cure += f", or rename it to one of {', '.join(SPELLINGS[role][:6])}"
        problems.append(
            f"{where}: no {role} column; columns found: {listed(names)}; {cure}{advice}"
        )
    return found[0] if len(found) == 1 else None


def _example(role: Role, names: Sequence[str], columns: Columns) -> str:
    """Return a column that no other role claims or is given, quoted for a shell.

    It is the first one, but for items the second if the users' column is still to be named, too.
    """
    given = {columns.named(each) for each in SPELLINGS}
    claimed = {name for each in SPELLINGS for name in matching_columns(each, names)}
    usable = [name for name in names if name not in given | claimed] or list(names)
    has_users = columns.user is not None or bool(matching_columns("user", names))
    place = 1 if role == "item" and not has_users else 0
    return shlex.quote(usable[min(place, len(usable) - 1)])


def matching_columns(role: Role, names: Sequence[str]) -> list[str]:
    """Return the columns with a spelling of the role, in file order.

    Args:
        role: the role.
        names: all column names of the file.
    """
    lists = (SPELLINGS[role], FURTHER.get(role, ()), OTHER_LANGUAGES.get(role, ()))
    return next((found for known in lists if (found := spelled(known, names))), [])


def spelled(spellings: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns with one of these spellings, in file order.

    Args:
        spellings: the spellings.
        names: all column names of the file.
    """
    squeezed = {squeeze(spelling) for spelling in spellings}
    return [name for name in names if squeeze(name) in squeezed]


def _plain_word(word: str) -> str:
    return "_".join(word.casefold().replace("-", " ").split())


def is_data(cell: str) -> bool:
    """Return True if a "column name" is a number or an e-mail address.

    Such a name shows that the file has no header line.
    """
    return "@" in cell or cell.replace(".", "").replace("-", "").isdigit()
