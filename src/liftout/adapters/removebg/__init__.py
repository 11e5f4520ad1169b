"""remove.bg's API 1.0.

parameters  names, limits and parsing of its parameters
result      from a cutout to the file that the parameters ask for
errors      codes and titles of its errors
"""

from liftout.adapters.removebg.errors import ApiError
from liftout.adapters.removebg.parameters import (
    ACCEPTED,
    CHANNELS,
    FORMAT_NAMES,
    SHADOW_TYPES,
    SIZES,
    TYPE_LEVELS,
    TYPES,
    Length,
    Parameters,
    detected_type,
    parse,
)
from liftout.adapters.removebg.result import Result, result

__all__ = [
    "ACCEPTED",
    "CHANNELS",
    "FORMAT_NAMES",
    "SHADOW_TYPES",
    "SIZES",
    "TYPES",
    "TYPE_LEVELS",
    "ApiError",
    "Length",
    "Parameters",
    "Result",
    "detected_type",
    "parse",
    "result",
]
