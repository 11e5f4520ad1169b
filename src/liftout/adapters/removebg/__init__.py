"""remove.bg's API 1.0.

parameters  names, limits and parsing of its parameters
result      from a cutout to the file that the parameters ask for
"""

from liftout.adapters.removebg.parameters import (
    ACCEPTED,
    CHANNELS,
    FORMAT_NAMES,
    SIZES,
    TYPES,
    Length,
    Parameters,
    parse,
)
from liftout.adapters.removebg.result import Result, result

__all__ = [
    "ACCEPTED",
    "CHANNELS",
    "FORMAT_NAMES",
    "SIZES",
    "TYPES",
    "Length",
    "Parameters",
    "Result",
    "parse",
    "result",
]
