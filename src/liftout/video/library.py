"""The libraries that the extra `video` brings."""

from __future__ import annotations

from importlib.util import find_spec

from liftout.errors import ExtraMissing
from liftout.remedies import InstallExtra


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
