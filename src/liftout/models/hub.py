"""The model hub as its users set it up: HF_ENDPOINT, HF_TOKEN, HF_HOME, and the files that its own library has fetched.

Source of the names and of the layout of the cache: the documentation of huggingface_hub, "Environment variables" and
"Understand caching".
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

PUBLIC = "https://huggingface.co"


def endpoint() -> str:
    """URL of the hub: `HF_ENDPOINT`, or the public one."""
    return _setting("HF_ENDPOINT").rstrip("/") or PUBLIC


def host() -> str:
    """Host of the hub, with its port where it has one."""
    return urlsplit(endpoint()).netloc.rpartition("@")[2]


def token() -> str:
    """`HF_TOKEN`, or what `HF_TOKEN_PATH` or `HF_HOME/token` holds; empty where there is none."""
    if value := _setting("HF_TOKEN"):
        return value
    try:
        return Path(_setting("HF_TOKEN_PATH") or _home() / "token").expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def cached(repo: str, revision: str, path: str) -> Path | None:
    """A file that the hub's library has fetched to this machine already; None where it has not.

    repo: OWNER/NAME. revision: branch, tag or commit. path: of the file in it.
    """
    place = _setting("HF_HUB_CACHE") or _setting("HUGGINGFACE_HUB_CACHE")
    folder = (Path(place).expanduser() if place else _home() / "hub") / f"models--{repo.replace('/', '--')}"
    try:
        commit = (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        commit = revision
    file = folder / "snapshots" / commit / path
    return file if file.is_file() else None


def _home() -> Path:
    if value := _setting("HF_HOME"):
        return Path(value).expanduser()
    caches = _setting("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "huggingface"


def _setting(name: str) -> str:
    return os.environ.get(name, "").strip()
