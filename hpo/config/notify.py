"""Receivers of a message when a study ends or a model is registered. Secrets stay outside.

The table is stored with the study as it is written, so it names environment variables ($NAME) in
the place of secrets; `hpo.notices` fills them in at the moment of sending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from string import Template
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, model_validator

Event = Literal["finished", "stopped", "failed", "promoted"]
_SCHEMES = ("http://", "https://")
_HIDDEN_NAME = re.compile(r"auth|token|secret|password|key|cookie|signature|sig$", re.IGNORECASE)
# What services put into a webhook's path: long, with letters and digits, as no word of a path is.
_RANDOM = re.compile(r"(?=[^/&=]*\d)(?=[^/&=]*[A-Za-z])[\w-]{20,}")

# The same in the words of a command, where paths and names of all kinds are usual.
_HIDING = r"(?:[\w-]*[-_])?(?:auth|authorization|token|secret|password|api-?key|cookie|signature)"
_ASSIGNED = re.compile(rf"(?<![\w-])-{{0,2}}{_HIDING}(?:: *|=)([^'\"]+)", re.IGNORECASE)
# $(cat FILE), ${NAME:-x} and %NAME% are filled by a shell; a path is read by the program.
_LOOKED_UP = re.compile(r"\$\(|`|\$\{\w|%\w+%|^(?:[/.~]|file:|env:)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_OPTION = re.compile(rf"--?{_HIDING}", re.IGNORECASE)
# Logins of curl, -u USER:PASSWORD; other programs take -u UID:GID and the like.
_CURL = r"(?:^|[\s;|&(/])curl(?:\.exe)?\s(?:[^;|&()]*?\s)?"
_LOGIN_OPTION = r"(?:-\w*[uU]|--(?:proxy-)?user)"
_LOGIN = re.compile(rf"{_CURL}{_LOGIN_OPTION}[\s=]*['\"]?[^\s'\":]*:([^\s'\"]+)")
_ADDRESS = re.compile(r"\w+://[^\s'\"]+")
_RANDOM_PIECE = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z\d]{20,}")


class NotifyConfig(BaseModel):
    """The messages to a webhook, a command or both, when a study ends or a model is registered.

    A message that cannot be delivered within 30 seconds is a warning, never an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: str | None = None
    """Address that receives the message as JSON (POST); secrets as $NAME, filled in from the
    environment when it is sent."""
    headers: dict[str, str] = {}
    """Further headers of the request; secrets as $NAME."""
    command: tuple[str, ...] = ()
    """Program and arguments that receive the message as JSON on stdin; run without a shell."""
    on: tuple[Event, ...] = ("finished", "failed", "promoted")
    """Events to tell: finished (the study has its trials), stopped (parked, by whatever), failed
    (ended by an error), promoted (a version was registered, as champion or challenger)."""

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Refuse what cannot be sent, and secrets; the messages do not repeat the values.

        Raises:
            ValueError: the address, a header or the command cannot be used, or holds a secret.
        """
        found = [*self._problems_of_the_url(), *self._problems_of_the_headers()]
        if self.command and not self.command[0].strip():
            found.append("command begins with no program")
        if found:
            raise ValueError("; ".join(found))
        return self

    def _problems_of_the_url(self) -> Iterator[str]:
        """Yield what is wrong with the address."""
        if self.url is None:
            return
        if not self.url.startswith((*_SCHEMES, "$")):
            yield 'url must begin with http:// or https://, or name a variable ("$HPO_WEBHOOK")'
            return
        if why := _unfillable(self.url):
            yield f"url {why}"
        elif _has_secret(self.url):
            yield (
                "url looks as if it held a secret, which would be stored with the study; put it "
                'into an environment variable and write its name in its place ("$HPO_WEBHOOK" '
                'for a whole address, or "https://HOST/hook?token=$NAME")'
            )

    def secrets_of_the_command(self) -> Iterator[str]:
        """Yield the words of the command that look as if they held a secret, as problems.

        Not a refusal of the table itself: studies that have stored such a command can be read.
        """
        is_curl = re.fullmatch(r"(?:.*[/\\])?curl(?:\.exe)?", (*self.command, "")[0]) is not None
        for place, word in enumerate(self.command):
            before = self.command[place - 1] if place else ""
            given = [word] if _OPTION.fullmatch(before) else []
            given += _LOGIN.findall(f"curl {before} {word}" if is_curl else word)
            if _word_has_secret(word) or not all(map(_is_looked_up, given)):
                yield (
                    f"word {place + 1} looks as if it held a secret, which would be stored with "
                    "the study; let the program read it from the environment, for instance "
                    """["sh", "-c", 'curl -H "Authorization: Bearer $TOKEN" ...']"""
                )

    def _problems_of_the_headers(self) -> Iterator[str]:
        """Yield what is wrong with the headers."""
        if self.headers and self.url is None:
            yield "headers go with a url, and there is none"
        for name, value in self.headers.items():
            if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or not value.isprintable():
                yield f"headers.{name}: no header of HTTP"
            elif why := _unfillable(value):
                yield f"headers.{name} {why}"
            elif not _names_variable(value) and (
                _HIDDEN_NAME.search(name) or _RANDOM.search(value)
            ):
                yield (
                    f"headers.{name} looks like a secret, which would be stored with the study; "
                    f'write the name of an environment variable in its place ("Bearer $NAME")'
                )


def _unfillable(text: str) -> str:
    """Return the reason why no variables can be filled into a text; "" if they can."""
    return "" if Template(text).is_valid() else "has a $ before no name; $$ stands for the sign"


def _names_variable(text: str) -> bool:
    """Return True if a text names an environment variable."""
    return bool(Template(text).get_identifiers())


def _is_looked_up(text: str) -> bool:
    """Return True if a shell or the program reads the value elsewhere: a variable or a file."""
    return bool(_LOOKED_UP.search(text)) or _names_variable(text)


def _has_secret(url: str) -> bool:
    """Return True if an address holds a login, or looks as if it held a token."""
    parts = urlsplit(url)
    login, _, _ = parts.netloc.rpartition("@")
    words = [login.partition(":")[2] or login]
    options = [option.partition("=") for option in parts.query.split("&")]
    words += [value for name, _, value in options if _HIDDEN_NAME.search(name)]
    if any(word and not _names_variable(word) for word in words):
        return True
    pieces = [*parts.path.split("/"), *(value for _, _, value in options), parts.fragment]
    return any(_RANDOM.search(piece) for piece in pieces if not _names_variable(piece))


def _word_has_secret(word: str) -> bool:
    """Return True if a word of a command looks as if it held a secret."""
    with suppress(ValueError):  # no address, so nobody will be sent anything
        if any(_has_secret(address) for address in _ADDRESS.findall(word)):
            return True
    if any(not _is_looked_up(value) for value in _ASSIGNED.findall(word)):
        return True
    if word.startswith(("/", ".", "~")):  # of a folder or a file
        return False
    rest = _DIGEST.sub("", _ADDRESS.sub("", word))
    return any(_RANDOM_PIECE.fullmatch(piece) for piece in re.split(r"[^A-Za-z\d]+", rest))
