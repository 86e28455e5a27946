"""Pages of the simple repository API, version 1.4. Pure: values in, text out.

PEP 503 (HTML), 691 (JSON), 592 (yank), 658 and 714 (metadata files), 700 (sizes, times, versions), 792 (status).

Links are relative (``../../../files/...``), so a page serves under the channel's URL, under its generation's URL, from
``file://`` and behind any prefix.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from packaging.version import Version

from farm.index.contents import ACTIVE, ProjectStatus, PublishedFile

PAGES_VERSION = 1  # raised when these functions write other pages: then no page of an older generation is reused
API_VERSION = "1.4"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
_PLAIN = re.compile(r"[A-Za-z0-9._!-]+")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_FILES = "../../../"  # from simple/<project>/ of a generation or channel to the index's root


def project_html(project: str, files: Sequence[PublishedFile], status: ProjectStatus) -> bytes:
    """The page of one project."""
    rows = "".join(map(_anchor, _offered(files, status)))
    return _page(f"Links for {project}", _status_meta(status), f"<h1>Links for {html.escape(project)}</h1>\n{rows}")


def project_json(project: str, files: Sequence[PublishedFile], status: ProjectStatus) -> bytes:
    """The same as JSON."""
    value = {
        "meta": {"api-version": API_VERSION},
        "name": project,
        "project-status": _status_json(status),
        "versions": sorted({file.version for file in files}, key=_version),
        "files": [_file_json(file) for file in _offered(files, status)],
    }
    return _dump(value)


def root_html(projects: Iterable[str]) -> bytes:
    """The list of projects."""
    return _page("Simple index", "", "".join(f'<a href="{quote(p)}/">{html.escape(p)}</a><br>\n' for p in projects))


def root_json(projects: Iterable[str]) -> bytes:
    """The list of projects as PEP 691 has it."""
    return _dump({"meta": {"api-version": API_VERSION}, "projects": [{"name": project} for project in projects]})


def _offered(files: Sequence[PublishedFile], status: ProjectStatus) -> Sequence[PublishedFile]:
    return () if status.status == "quarantined" else files


def _url(file: PublishedFile) -> str:
    """Relative and percent-encoded. Almost every name needs no more than its version epoch's ``!`` encoded."""
    name = file.filename
    name = name.replace("!", "%21") if _PLAIN.fullmatch(name) else quote(name)
    return f"{_FILES}files/{file.sha256[:2]}/{file.sha256}/{name}"


def _anchor(file: PublishedFile) -> str:
    requires = f' data-requires-python="{html.escape(file.requires_python)}"' if file.requires_python else ""
    yanked = "" if file.yanked is None else f' data-yanked="{html.escape(file.yanked)}"'
    return (
        f'<a href="{_url(file)}#sha256={file.sha256}"{requires} data-core-metadata="sha256={file.metadata_sha256}"'
        f"{yanked}>{html.escape(file.filename)}</a><br>\n"
    )


def _file_json(file: PublishedFile) -> dict[str, Any]:
    value: dict[str, Any] = {
        "filename": file.filename,
        "url": _url(file),
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": file.uploaded,
        "core-metadata": {"sha256": file.metadata_sha256},
        "yanked": False if file.yanked is None else file.yanked or True,
    }
    if file.requires_python:
        value["requires-python"] = file.requires_python
    return value


def _status_json(status: ProjectStatus) -> dict[str, str]:
    return {"status": status.status, "reason": status.reason} if status.reason else {"status": status.status}


def _status_meta(status: ProjectStatus) -> str:
    if status == ACTIVE:
        return ""
    reason = html.escape(status.reason)
    extra = f'<meta name="pypi:project-status-reason" content="{reason}">\n' if reason else ""
    return f'<meta name="pypi:project-status" content="{status.status}">\n{extra}'


def _page(title: str, meta: str, body: str) -> bytes:
    return (
        f'<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n<meta name="pypi:repository-version" '
        f'content="{API_VERSION}">\n{meta}<title>{html.escape(title)}</title>\n</head>\n<body>\n{body}</body>\n</html>\n'
    ).encode()


def _dump(value: dict[str, Any]) -> bytes:
    return _ENCODER.encode(value).encode()


@functools.lru_cache(maxsize=65536)
def _version(text: str) -> Version:
    return Version(text)
