"""What films need: the libraries that the extra `video` brings, and the suffixes that tell films from photos. Loads neither library."""

from __future__ import annotations

from importlib.util import find_spec

from liftout.errors import ExtraMissing
from liftout.remedies import InstallExtra

FILM_SUFFIXES = (
    ".mp4",
    ".mov",
    ".webm",
    ".mkv",
    ".avi",
    ".m4v",
    ".ts",
    ".mpg",
    ".mpeg",
    ".wmv",
    ".flv",
    ".3gp",
    ".ogv",
)
"""Suffixes of films, where names have to tell them from photos."""


def installed() -> bool:
    """Whether films can be read and written here."""
    return find_spec("av") is not None and find_spec("cv2") is not None


def require() -> None:
    """Raise ExtraMissing where the extra `video` is not installed."""
    try:
        import av
        import cv2  # noqa: F401
    except ImportError:
        raise ExtraMissing("films need an extra", field="video", remedy=InstallExtra("video")) from None
    av.logging.set_level(None)  # FFmpeg says on standard error what its return values say as well
