"""The HTTP application of hpo.serve: JSON in, JSON out, and a reason for every refusal."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from hpo.serving.batching import Batcher
from hpo.serving.http_protocol import LimitedProtocol
from hpo.serving.live_model import LiveModel
from hpo.serving.metrics import CONTENT_TYPE, ServingMetrics
from hpo.serving.middleware import Counted, HostGuard, Shortcut, send_json
from hpo.serving.reply_cache import CurrentReplies
from hpo.serving.schemas import (
    MAX_BODY_BYTES,
    MOST_REASONS,
    BatchRequest,
    Found,
    FoundMany,
    Health,
    Problem,
    Ready,
    RecommendRequest,
)

REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "bad input, with the reason"},
    500: {"model": Problem, "description": "an error of the server, whose log says more"},
}
STOP_SECONDS = 10  # time to finish current requests when the server stops
DRAINED = 16  # times MAX_BODY_BYTES: as much is read and dropped, so that clients see the 413


class LeanRoute(APIRoute):
    """A route from a JSON body to a JSON answer, one model each, with FastAPI's documentation.

    FastAPI's own way from body to answer costs more than the search for the items: 200 us of CPU
    time per request, against 90 us for this route.

    Args:
        path: path of the route.
        endpoint: coroutine function from the body's model to the answer's model.
        **options: options of FastAPI's APIRoute.

    Attributes:
        memory: replies that need no call of the endpoint; None: the endpoint is always called.
    """

    memory: CurrentReplies | None

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        assert self.body_field is not None
        self._body: type[BaseModel] = self.body_field.field_info.annotation  # type: ignore[assignment]
        self._answer: Callable[[Any], Awaitable[object]] = endpoint
        self._found: TypeAdapter[object] = TypeAdapter(self.response_model)
        self.app = self._respond
        self.memory = None

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        try:
            body = await _read(receive)
        except ClientDisconnect:
            return
        if body is None:
            reason = (
                f"the body is larger than {MAX_BODY_BYTES} bytes; split it into several requests"
            )
            await send_json(send, 413, _error_body(reason), close=True)
            return
        reply, replies = self.memory.reply(body) if self.memory else (None, None)
        if reply is None:
            try:
                given: Any = self._body.model_validate_json(body)
            except ValidationError as error:
                await send_json(send, 400, _error_body(_reasons(error)))
                return
            answer: Any = await self._answer(given)
            reply = self._found.dump_json(answer, exclude_none=True)
            if replies:
                replies.keep(body, given, answer, reply)
        await send_json(send, 200, reply)


def make_app(live: LiveModel, hosts: Collection[str], most_threads: int | None = None) -> ASGIApp:
    """Return the application, guarded by its host names and counted.

    Args:
        live: the model that answers.
        hosts: host names under which the application may be asked.
        most_threads: most threads of one product, of which a model takes as many as it can use;
            None: PyTorch's number stays as it is.
    """
    metrics, batcher = ServingMetrics(), Batcher(live.current, most_threads)

    async def recommend(ask: RecommendRequest) -> Found:
        """Return items for one person."""
        (answer,), version = await batcher.answer([ask.question])
        metrics.answered(answer.source)
        return Found.of(answer, version)

    async def recommend_batch(asks: BatchRequest) -> FoundMany:
        """Return items for several people."""
        answers, version = await batcher.answer([ask.question for ask in asks.requests])
        for answer in answers:
            metrics.answered(answer.source)
        return FoundMany(results=[Found.of(answer, version) for answer in answers])

    async def health() -> Health:
        """Return ok as long as the process is alive."""
        return Health()

    async def ready() -> Ready:
        """Return the version that answers, and the reason if a newer one is not served."""
        return readiness(live)

    async def counters() -> PlainTextResponse:
        """Return counters for Prometheus."""
        text = metrics.text(live.current().version, healthy=live.problem is None)
        return PlainTextResponse(text, media_type=CONTENT_TYPE)

    # No /docs: its page would load scripts from other servers.
    app = FastAPI(title="hpo.serve", docs_url=None, redoc_url=None, redirect_slashes=False)
    for path, endpoint in (("/recommend", recommend), ("/recommend/batch", recommend_batch)):
        app.router.add_api_route(
            path, endpoint, methods=["POST"], responses=REFUSALS, route_class_override=LeanRoute
        )
    app.add_api_route("/health", health)
    app.add_api_route("/ready", ready)
    app.add_api_route("/metrics", counters, response_class=PlainTextResponse)
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    lean = {route.path: route for route in routes if isinstance(route, LeanRoute)}
    lean["/recommend"].memory = CurrentReplies(lambda: live.current().replies, metrics.answered)
    shortcut = Shortcut(app, {path: route.app for path, route in lean.items()})
    counted = Counted(shortcut, metrics, [route.path for route in routes])
    return HostGuard(counted, hosts)


def readiness(live: LiveModel) -> Ready:
    """Return the answer of `/ready`."""
    served = live.current()
    index = served.recommender.index
    return Ready(
        ready=True,
        model=str(live.reference),
        version=served.version,
        exact=index is None,
        index=index,
        problem=live.problem,
    )


def make_server(app: ASGIApp, protocol: type[LimitedProtocol] = LimitedProtocol) -> uvicorn.Server:
    """Return a server with one event loop and without access log; give the socket to its `run`.

    Args:
        app: the application.
        protocol: protocol class of the connections.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_SECONDS,
            proxy_headers=False,  # any client could claim another address in these headers
            server_header=False,
        )
    )


async def _read(receive: Receive) -> bytes | None:
    """Return the body; None if it is too large.

    At most MAX_BODY_BYTES and one piece are held in memory.

    Raises:
        ClientDisconnect: the client has closed the connection.
    """
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size <= MAX_BODY_BYTES:
            pieces.append(piece)
        elif size > DRAINED * MAX_BODY_BYTES:
            return None
        more = message.get("more_body", False)
    return b"".join(pieces) if size <= MAX_BODY_BYTES else None


def _reasons(error: ValidationError) -> str:
    """Return the first few problems as text, without repeating the input."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [
        f"{'.'.join(str(part)[:100] for part in each['loc']) or 'body'}: "
        f"{each['msg'].removeprefix('Value error, ')}"
        for each in found
    ]
    more = len(lines) - MOST_REASONS
    return "; ".join(lines[:MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _error_body(reason: str) -> bytes:
    return json.dumps({"detail": reason}).encode()
