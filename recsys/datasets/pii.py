"""Columns that say who somebody is or where to reach them: never features, whoever asks.

A model can repeat what it was given, and artifacts are handed around. So names, addresses and
the like are refused by column name, and by what the cells look like.
"""

from __future__ import annotations

import re
import unicodedata

import polars as pl

from recsys.readers.side_tables import Side

# Wherever they stand in a squeezed name: "E-Mail", "billingAddress1", "numero_telefono".
_CONTACT = ("email", "phone", "telefon", "mobile", "movil", "whatsapp", "address", "direccion",
            "domicilio", "postal", "zipcode", "passport", "pasaporte", "iban")  # fmt: skip
# As a word of their own only: "zip", but not "zipper_type".
_CONTACT_WORDS = frozenset(
    {"mail", "correo", "tel", "cell", "celular", "fax", "zip", "street", "calle", "ip", "ssn",
     "dni", "nif", "lat", "latitude", "latitud", "lon", "lng", "longitude", "longitud"}
)  # fmt: skip
_NAMES = ("firstname", "lastname", "fullname", "surname", "username", "nickname", "nombre",
          "apellido", "forename", "maiden")  # fmt: skip
_NAME_WORDS = frozenset({"name", "names", "login", "alias", "nick", "handle"})
# "city_name" names no person.
_OF_GROUPS = frozenset(
    {"city", "country", "region", "state", "province", "segment", "group", "plan", "tier",
     "category", "type", "store", "channel", "department", "ciudad", "pais", "provincia",
     "segmento", "grupo", "categoria", "tipo", "tienda", "canal"}
)  # fmt: skip

_MAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
_PHONE = r"^\+?(?:[\s()./-]*\d){9,15}$"  # a date has 8 digits


def why_personal(side: Side, name: str) -> str | None:
    """Why a column of this name is no feature, or None.

    Items have public names, so only a user's name counts.
    """
    words = _words(name)
    squeezed = "".join(words)
    if _CONTACT_WORDS & {*words} or any(part in squeezed for part in _CONTACT):
        return "says where somebody is or can be reached"
    is_name = _NAME_WORDS & {*words} or any(part in squeezed for part in _NAMES)
    if side == "user" and is_name and not _OF_GROUPS & {*words}:
        return "names people"
    return None


def why_revealing(column: pl.Series) -> str | None:
    """Why these cells (text) are no feature, whatever their column is called; or None."""
    filled = column.drop_nulls()
    if filled.str.contains(_MAIL).any():
        return "holds e-mail addresses"
    if filled.str.contains(_PHONE).sum() > filled.len() / 2:
        return "holds telephone numbers"
    return None


def _words(name: str) -> list[str]:
    """For "numeroTelefónico_2": ["numero", "telefonico"]."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return re.findall(r"[a-z]+", spaced.casefold())
