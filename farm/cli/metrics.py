"""The farm in numbers, for Prometheus: what waits and runs, how long steps take, what is found done, lost, retried.

All of it is in the ledger, counted as it happens, so that one place is scraped however many machines build, and a
process that was killed has not taken its numbers with it. docs/observing.md lists the metrics and has rules for alerts.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from farm import extras
from farm.cli import numbers
from farm.errors import MissingToolError, UsageError

if TYPE_CHECKING:
    from farm.settings import Settings
    from farm.store.ledger import Ledger

EPILOG = """examples:
  farm metrics serve                               http://127.0.0.1:9746/metrics, until Ctrl-C
  farm metrics serve --host 0.0.0.0 --port 9000
  farm metrics write /var/lib/node_exporter/farm.prom   for cron and the node exporter's textfile collector
  farm metrics write -                             to stdout
"""
_PORT = 9746


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    serve = actions.add_parser("serve", help="answer scrapes until Ctrl-C")
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    serve.add_argument(
        "--port", type=numbers.whole, default=_PORT, metavar="N", help=f"0: any free one; default: {_PORT}"
    )
    write = actions.add_parser("write", help="write them to a file, whole or not at all")
    write.add_argument("file", metavar="FILE", help="its name must end in .prom for the node exporter; -: stdout")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Serve or write."""
    try:
        import prometheus_client  # noqa: F401 - is it there?
    except ModuleNotFoundError as error:
        raise MissingToolError("metrics need prometheus_client", fix=extras.install("metrics")) from error
    from farm.store import home
    from farm.store.ledger import Ledger

    home.prepare(settings.home)
    with Ledger.open(settings.ledger) as ledger:
        return _serve(args, ledger) if args.action == "serve" else _write(args, ledger)


def _serve(args: argparse.Namespace, ledger: Ledger) -> int:
    from prometheus_client import start_http_server

    from farm.metrics.collect import registry

    try:
        server, thread = start_http_server(args.port, addr=args.host, registry=registry(ledger))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {args.host} port {args.port}: {why}", where="--port", fix="take another"
        ) from error
    print(f"serving http://{args.host}:{server.server_port}/metrics", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return 0  # the ordinary end
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    return 0


def _write(args: argparse.Namespace, ledger: Ledger) -> int:
    from farm.metrics.collect import text
    from farm.store.files import disk_errors, write_atomic

    content = text(ledger)
    if args.file == "-":
        sys.stdout.write(content.decode())
        return 0
    place = Path(args.file).absolute()
    with disk_errors(place):
        write_atomic(place, content)
    return 0
