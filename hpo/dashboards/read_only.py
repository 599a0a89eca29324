"""The page of optuna-dashboard with a read-only banner and without the controls that write.

optuna-dashboard has no read-only mode: its page offers to create and delete studies, which the
guard refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.dashboards.host_guard import App

PAGE = "/dashboard"  # artifacts may be HTML, too, and are passed on unchanged
END = b"</body>"
CONDITIONS = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE")
VALIDATORS = (
    "last-modified",
    "etag",
    "accept-ranges",
)  # of the file, not of the page
TEXT = "read-only (hpo.dashboard --allow-writes lifts that)"

# Labels and icons of version 0.21. The guard refuses a control that these selectors miss.
HIDDEN = (
    '[aria-label="rename study"]',
    '[aria-label="delete study"]',
    '[aria-label="delete artifact"]',
    '[aria-label="skip trial"]',
    'button:has([data-testid="AddBoxIcon"])',  # create a study
    'button:has([data-testid="EditIcon"])',  # of a note
    'button:has([data-testid="StopCircleIcon"])',  # fail a trial
    '.MuiCard-root:has(> .MuiCardActionArea-root [data-testid="UploadFileIcon"])',  # upload
)
# Attributes are lines that do not break, in a box that grows with them.
WRAPPED = "main .MuiBox-root{white-space:normal}p.MuiTypography-body1{overflow-wrap:anywhere}"
# In the empty half of the bar at the top; clicks go through it.
STYLE = (
    "position:fixed;top:20px;right:24px;z-index:1250;padding:2px 10px;"
    "border-radius:12px;background:#fff3cd;color:#664d03;font:500 14px/20px sans-serif;"
    "white-space:nowrap;pointer-events:none"
)
SNIPPET = (
    f"<style>{','.join(HIDDEN)}{{display:none!important}}{WRAPPED}</style>"
    f'<div id="read-only" role="note" style="{STYLE}">{TEXT}</div>'
).encode()


def read_only_page(
    app: App, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Return the body of the page with the banner.

    The page is always sent in full, since a browser may have cached one without the banner.

    Args:
        app: optuna-dashboard.
        environ: WSGI environment of the request.
        start_response: WSGI callable for status and headers.
    """
    plain = {name: value for name, value in environ.items() if name not in CONDITIONS}
    is_page = False

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        nonlocal is_page
        types = [value for name, value in headers if name.lower() == "content-type"]
        is_page = status.startswith("200") and any(kind.startswith("text/html") for kind in types)
        return start_response(status, _headers(headers) if is_page else headers, *more)

    body = app(plain, start)
    try:
        whole = b"".join(body)
    finally:
        if close := getattr(body, "close", None):
            close()
    return [whole.replace(END, SNIPPET + END, 1) if is_page else whole]


def _headers(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in headers if name.lower() not in VALIDATORS]
    return [
        (name, str(int(value) + len(SNIPPET)) if name.lower() == "content-length" else value)
        for name, value in kept
    ] + [("Cache-Control", "no-store")]
