"""Recommendations over HTTP by the champion of the registry: python -m hpo.serve"""

from __future__ import annotations

import argparse
import json
import signal
import socket
from collections.abc import Sequence

from hpo.arguments import add_host_arguments, add_model_arguments
from recsys.cli import command_parser, run_command

PORT = 8000


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.serve`."""
    result = command_parser(
        "hpo.serve",
        "Serve recommendations of a registered model until Ctrl-C. A new champion is picked up "
        "within seconds.",
        "--port 8000 --model models:/two-tower@champion",
    )
    add_host_arguments(result)
    result.add_argument(
        "--port",
        type=int,
        default=PORT,
        help="port to listen on; 0: any free port (default: %(default)s)",
    )
    add_model_arguments(result)
    result.add_argument(
        "--exact",
        action="store_true",
        help="score all items for each answer (default: use the index that comes with the model of "
        "a large catalogue; /ready shows its recall)",
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM, the intended end, and return the exit code 0.

    Raises:
        SettingsError: the port is taken, or --model is no model URI.
        NoStoreError: the MLflow database is missing.
        ModelRefused: there is no such model, or its files are not the registered ones.
        CheckpointError: the model's files cannot be read.
        TrackingError: MLflow does not answer.
    """
    options = parser().parse_args(argv)
    import logging

    import torch

    from hpo.config import Locations
    from hpo.dashboards import EVERYWHERE, LOCAL_HOSTS
    from hpo.registry import ModelStore, Reference
    from hpo.serving import LiveModel, make_app, make_server

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("hpo.serve").setLevel(logging.INFO)
    reference = Reference.parse(options.model)
    with listen(options.host, options.port) as listener:
        store = ModelStore(Locations.resolve(None, options.tracking_uri).tracking_uri)
        live = LiveModel(store, reference, as_measured=options.as_measured, exact=options.exact)
        names = {*LOCAL_HOSTS, *options.allowed_host, bracketed(options.host)} - {*EVERYWHERE}
        app = make_app(live, {name.lower() for name in names}, torch.get_num_threads())
        host = "127.0.0.1" if options.host in EVERYWHERE else bracketed(options.host)
        address = f"http://{host}:{listener.getsockname()[1]}"
        served = live.current()
        model = f"{reference} (version {served.version})"
        print(greeting(address, model, served.recommender.user_ids[0]))
        print("Ctrl-C stops this", flush=True)
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
        ):  # uvicorn stops, then raises the signal once more
            signal.signal(number, lambda *_: None)
        live.watch()
        make_server(app).run(sockets=[listener])
        live.stop()
    print("stopped")
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that a taken port is reported before a model is loaded.

    Args:
        host: name or address to listen on.
        port: port to listen on; 0: any free port.

    Raises:
        SettingsError: the port or the host cannot be used.
    """
    from hpo.dashboards import REUSE_ADDRESS, is_about_port
    from hpo.errors import SettingsError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is named; without it, each answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if REUSE_ADDRESS:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        option = "--port" if is_about_port(error) else "--host"
        message = f"{host}:{port} cannot be used: {reason}; choose another with {option}"
        raise SettingsError(message) from None
    return listener


def bracketed(host: str) -> str:
    """Return a host as a URL and a Host header contain it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def greeting(address: str, model: str, user_id: str) -> str:
    """Return the address and a sample request, for a POSIX shell and for PowerShell.

    Args:
        address: URL of the server.
        model: the model in words.
        user_id: a user whom the model knows.
    """
    body = json.dumps({"user_id": user_id, "k": 10}).replace("'", r"\u0027")
    url = f"{address}/recommend"
    return "\n".join(
        [
            f"serving {model} at {address}",
            f"  curl {url} -d '{body}'",
            f"  Invoke-RestMethod {url} -Method Post -ContentType application/json -Body '{body}'",
        ]
    )


if __name__ == "__main__":
    run_command(main)
