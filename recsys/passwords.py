"""Text and addresses without the passwords in them, for whatever people or logs may read.

`without_password` keeps the user and shows *** for the password: a command stays one that can be
pasted and completed. `public_uri` drops both: a link or tag needs neither.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

# Ends of the names of a URL's options that grant access, as libpq, MySQL, ODBC, DuckDB have them:
# password, sslpassword, passwd, pwd, client_secret, secret_access_key, motherduck_token
GRANTING_NAME = r"(?:(?<!by)pass(?:word|wd|phrase|code)?|pwd|secret[\w-]*|token)"
_ODBC = r"odbc_connect(?=[^&#\s'\"]*(?:pwd|password)(?:\s|\+|%20)*(?:=|%3d))"  # with one inside
_QUERY = re.compile(rf"([?&](?:[\w.-]*{GRANTING_NAME}|{_ODBC})=)([^&#\s'\"]*)", re.IGNORECASE)
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
    name = VARIABLE.fullmatch(text)
    return name is not None and (name[1] or name[2]) in os.environ


def _without_query_passwords(text: str) -> str:
    return _QUERY.sub(
        lambda found: found[0] if _is_set_variable(found[2]) else f"{found[1]}***", text
    )
