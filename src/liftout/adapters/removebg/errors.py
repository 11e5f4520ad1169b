"""Errors of remove.bg's API 1.0: codes, titles and statuses.

Source: the API's OpenAPI document (https://www.remove.bg/api/swagger.yaml, version 1.0.0), as far as it lists them. Codes of
parameters that it does not list follow its pattern, `invalid_<parameter>`.
"""

from __future__ import annotations

_TITLES = {
    "auth_failed": "Invalid API Key",
    "failed_bg_download": "Failed to download background image from given bg_image_url",
    "failed_image_download": "Failed to download image from given image_url",
    "failed_to_read_image": "There was an error reading the image.",
    "file_too_large": "File too large",
    "invalid_bg_image_url": "Invalid bg_image_url: Please provide a valid URL.",
    "invalid_channels": "Invalid value for parameter 'channels'",
    "invalid_image_url": "Invalid image_url: Please provide a valid URL.",
    "invalid_size": "Invalid value for parameter 'size'",
    "missing_source": "No image given",
    "multiple_bg_sources": "Multiple background sources given: Please provide either the bg_color, the bg_image_url or the "
    "bg_image_file parameter.",
    "multiple_sources": "Multiple image sources given: Please provide either the image_url, image_file or image_file_b64 "
    "parameter.",
    "rate_limit_exceeded": "Rate limit exceeded",
    "resolution_too_high": "Image resolution too high",
    "roi_exceeds_bounds": "ROI exceeds image bounds",
    "roi_region_empty": "ROI region is empty",
    "unknown_foreground": "Could not identify foreground in image.",
}
MISSING_KEY = "Missing API Key"
"""Title of `auth_failed` for a request without a key."""


class ApiError(Exception):
    """A request that the API answers with status 400.

    code: of the API, such as `unknown_foreground`. detail: one line. field: the parameter concerned, if it is one.
    """

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field


def title(code: str) -> str | None:
    """The API's title of a code; None for a code that it does not have."""
    if code in _TITLES:
        return _TITLES[code]
    parameter = code.removeprefix("invalid_")
    return f"Invalid {parameter} parameter given" if parameter != code else None
