"""A real server that speaks S3, for tests: moto behind werkzeug, in a process of its own.

Requests are carried out one after the other, because moto's conditional writes are no transactions.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUCKET = "farm-bucket"
SECRET = "verySecretHunter2"


def credentials(patch: Any, place: Path) -> None:
    """Credentials that the server takes, and no others of this machine; `patch` is pytest's monkeypatch."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIDFARM")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_CONFIG_FILE", str(place / "none"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(place / "none"))
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@contextmanager
def s3() -> Iterator[str]:
    """The endpoint of a server with one bucket. It ends when this process does, however that ends."""
    command = [sys.executable, str(Path(__file__)), BUCKET]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def _serve(bucket: str) -> None:
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def in_turn(environ: dict[str, Any], start: Any) -> Any:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        if len(body) < length:
            raise ConnectionError("half a request")
        environ["wsgi.input"] = io.BytesIO(body)
        with lock:
            return list(app(environ, start))

    server = make_server("127.0.0.1", 0, in_turn, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _create(f"http://127.0.0.1:{server.port}", bucket)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    sys.stdin.read()  # until whoever started this is gone
    os._exit(0)


def _create(endpoint: str, bucket: str) -> None:
    import boto3

    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket=bucket)


if __name__ == "__main__":
    _serve(sys.argv[1])
