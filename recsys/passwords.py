"""Text and addresses without the passwords in them, for whatever people or logs may read.

`without_password` keeps the user and shows *** for the password: a command stays one that can be
pasted and completed. `public_uri` drops both: a link or tag needs neither.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# libpq's and MySQL's names of secrets in a URL's query: password, sslpassword, passwd, passphrase
_QUERY = re.compile(r"([?&][\w.-]*pass(?:word|wd|phrase)?=)[^&#\s'\"]*", re.IGNORECASE)
_LOGIN = re.compile(r"(://[^:/\s]*):\S*@")  # a user may have an @ too, as on Azure


def without_password(text: str) -> str:
    """Return the text with *** in the place of passwords of URLs in it, in their queries too."""
    return _LOGIN.sub(r"\1:***@", _without_query_passwords(text))


def public_uri(uri: str) -> str:
    """Return the URI without user and passwords, fit for logs, tags and links."""
    address = urlsplit(uri).netloc
    return _without_query_passwords(uri.replace(address, address.rpartition("@")[2], 1))


def _without_query_passwords(text: str) -> str:
    return _QUERY.sub(r"\1***", text)
