"""Text and addresses without the passwords in them, for whatever people or logs may read.

`without_password` keeps the user and shows *** for the password: a command stays one that can be
pasted and completed. `public_uri` drops both: a link or tag needs neither.
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, unquote_plus, urlsplit

# Ends of the names of a URL's options that grant access, as libpq, MySQL, ODBC, DuckDB have them:
# password, sslpassword, passwd, pwd, client_secret, secret_access_key, motherduck_token. Harmless
# names end in "pass", too, as compass does: that is a word of its own, as in db_pass, or dbpass.
_KEY = r"(?:(?:api|account|secret)[_.-]?|secret[_.-]?access[_.-]?)key"
_SHORT = r"(?:(?<![a-z])|(?<=db)|(?<=user)|(?-i:(?<=[a-z])(?=P)))(?<!by)pass"
GRANTING_NAME = rf"(?:password|passwd|passphrase|passcode|{_SHORT}|pwd|secret|token|{_KEY})"
_QUERY = re.compile(rf"([?&][\w.-]*{GRANTING_NAME}=)([^&#\s'\"]*)", re.IGNORECASE)
# The text for an ODBC driver, with spaces; a quote is the end of a URL that is quoted.
_ODBC = re.compile(r"[?&]odbc_connect=[^&\n]*?(?=['\"](?:[\s:,)]|$)|[&\n]|$)", re.IGNORECASE)
# A password in it, and the value: to the next ;, which may be part of it in braces. What is there
# may be quoted for a URL. Braces that never end take the rest.
_SPACE, _END, _OPEN, _CLOSE = r"(?:\s|\+|%20)*", r"(?:;|%3b)", r"(?:\{|%7b)", r"(?:\}|%7d)"
_IN_BRACES = rf"{_OPEN}(?:(?!{_CLOSE}).|{_CLOSE}{{2}})*(?:{_CLOSE}|$)"
_NAMED = rf"{_OPEN}(?:\$|%24){_OPEN}\w+{_CLOSE}{{2}}"  # {${NAME}}, which doubles no brace
ODBC_PASSWORD = re.compile(
    rf"((?:^|=|{_END}){_SPACE}(?:pwd|password){_SPACE}(?:=|%3d){_SPACE})"
    rf"((?:{_NAMED}|{_IN_BRACES})?.*?)(?={_END}|$)",
    re.IGNORECASE | re.DOTALL,
)
# A user may have an @ too, as on Azure, and a password a slash: up to the last @ before options.
# A port is no password, so one that begins with digits and a slash is not found.
_LOGIN = re.compile(r"(://[^:/\s]*):(?!\d{1,5}(?:[/?#\s'\"]|$))([^\s?]*|\S*)@")
VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")  # name of an environment variable


def without_password(text: str) -> str:
    """Return the text with *** in the place of passwords of URLs in it, in their queries too.

    The name of an environment variable that is set stays: it stands for a password and is none.
    """
    return _LOGIN.sub(_masked, _without_query_passwords(text))


def public_uri(uri: str) -> str:
    """Return the URI without user and passwords, fit for logs, tags and links."""
    uri = _LOGIN.sub("://", uri)
    address = urlsplit(uri).netloc
    return _without_query_passwords(uri.replace(address, address.rpartition("@")[2], 1))


def _masked(login: re.Match[str]) -> str:
    return login[0] if _is_set_variable(login[2]) else f"{login[1]}:***@"


def _is_set_variable(text: str) -> bool:
    name = VARIABLE.fullmatch(unquote(text))
    return name is not None and (name[1] or name[2]) in os.environ


def without_braces(text: str) -> str:
    """Return a value for an ODBC driver without the braces around it."""
    text = text.strip()
    return text[1:-1] if text.startswith("{") and text.endswith("}") else text


def _without_query_passwords(text: str) -> str:
    text = _ODBC.sub(lambda found: ODBC_PASSWORD.sub(_odbc_masked, found[0]), text)
    return _QUERY.sub(
        lambda found: found[0] if _is_set_variable(found[2]) else f"{found[1]}***", text
    )


def _odbc_masked(found: re.Match[str]) -> str:
    is_shown = not found[2] or _is_set_variable(without_braces(unquote_plus(found[2])))
    return found[0] if is_shown else f"{found[1]}***"
