"""Detection of columns that identify a person or say where to reach one; they never are features.

A model can repeat its input, and artifacts are handed around. So names, addresses and the like
are refused by column name, and by the look of the cells, even if a user asks for them.
"""

from __future__ import annotations

import re
import unicodedata

import polars as pl

from recsys.readers import Side

# Matched anywhere in a squeezed name of a user table: "E-Mail", "billingAddress1",
# "numero_telefono". In an item table they are whole words: goods have a "headphone_type".
_CONTACT = ("email", "phone", "telefon", "mobile", "movil", "whatsapp", "address", "direccion",
            "domicilio", "postal", "zipcode", "passport", "pasaporte", "iban")  # fmt: skip
_CONTACT_WORD = re.compile(rf"(?:tele)?(?:{'|'.join(_CONTACT)})(?:e?s|os?)?")
# Matched anywhere in a squeezed name of an item table, too.
_CONTACT_OF_ITEMS = ("email", "phonenumber", "mobilephone", "telefono", "whatsapp", "zipcode",
                     "postalcode", "streetaddress", "mailaddress")  # fmt: skip
# Matched as whole words only: "zip", but not "zipper_type".
_CONTACT_WORDS = frozenset(
    {"mail", "correo", "tel", "cell", "celular", "fax", "zip", "street", "calle", "ip", "ssn",
     "dni", "nif", "lat", "latitude", "latitud", "lon", "lng", "longitude", "longitud"}
)  # fmt: skip
_NAMES = ("firstname", "lastname", "fullname", "surname", "username", "nickname", "nombre",
          "apellido", "forename", "maiden")  # fmt: skip
_NAME_WORDS = frozenset({"name", "names", "login", "alias", "nick", "handle"})
# Words that make a name one of a group: "city_name" names no person.
_OF_GROUPS = frozenset(
    {"city", "country", "region", "state", "province", "segment", "group", "plan", "tier",
     "category", "type", "store", "channel", "department", "ciudad", "pais", "provincia",
     "segmento", "grupo", "categoria", "tipo", "tienda", "canal"}
)  # fmt: skip

_MAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
_PHONE = r"^\+?(?:[\s()./-]*\d){9,15}$"  # a date has 8 digits


def why_personal(side: Side, name: str) -> str | None:
    """Return the reason why a column of this name is no feature, or None.

    Items have public names, so names count as personal in a user table only.

    Args:
        side: table of the column.
        name: the column.
    """
    words = _words(name)
    squeezed = "".join(words)
    if _CONTACT_WORDS & {*words} or _says_contact(side, name):
        return "says where somebody is or can be reached"
    is_name = _NAME_WORDS & {*words} or any(part in squeezed for part in _NAMES)
    if side == "user" and is_name and not _OF_GROUPS & {*words}:
        return "names people"
    return None


def _says_contact(side: Side, name: str) -> bool:
    if side == "user":
        return any(part in "".join(_words(name)) for part in _CONTACT)
    words = _words(name.replace("iPhone", "iphone"))  # a product, not the phone of an "i"
    squeezed = "".join(words)
    return any(map(_CONTACT_WORD.fullmatch, words)) or any(
        part in squeezed for part in _CONTACT_OF_ITEMS
    )


def why_revealing(column: pl.Series, *, numbers: bool = True) -> str | None:
    """Return the reason why the cells of a column rule it out as a feature, or None.

    Args:
        column: text cells; the name of the column does not count.
        numbers: False if many digits are no telephone number: lists of items hold ids, such as
            ISBNs.
    """
    filled = column.drop_nulls()
    if filled.str.contains(_MAIL).any():
        return "holds e-mail addresses"
    if numbers and filled.str.contains(_PHONE).sum() > filled.len() / 2:
        return "holds telephone numbers"
    return None


def _words(name: str) -> list[str]:
    """Return the words of a column name: "numeroTelefónico_2" gives ["numero", "telefonico"]."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return re.findall(r"[a-z]+", spaced.casefold())
