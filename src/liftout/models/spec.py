"""What is known about a model, as data.

A `ModelSpec` is frozen. It is read from TOML (`liftout.models.catalog`) and from the manifest of a pack, and written into
manifests; `to_dict` and `from_dict` are exact inverses. Nothing else in liftout knows a model by name.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from liftout.errors import CatalogError
from liftout.models.sources import parse

Fit = Literal["stretch", "letterbox"]
InputResample = Literal["bilinear-antialias", "bilinear", "lanczos"]
OutputResample = Literal["bilinear", "bilinear-antialias", "bicubic", "bilinear-corners"]
Activation = Literal["none", "sigmoid", "argmax"]
Role = Literal["checkpoint", "onnx", "pack"]

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}|[0-9a-f]{4,63}\.\.\.[0-9a-f]{0,60}")
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """How a photo becomes the network's input, tensor float32 [1, 3, height, width]."""

    size: tuple[int, int]
    """[height, width] of the tensor."""
    fit: Fit = "stretch"
    """`letterbox` keeps the aspect, centred on zeros."""
    resample: InputResample = "bilinear-antialias"
    """`bilinear-antialias` and `lanczos` are Pillow's, the latter to stretch only; `bilinear` is torch's F.interpolate
    (align_corners=False, no antialias)."""
    quantize: Literal["none", "truncate"] = "none"
    """`truncate` cuts to whole grey levels after resizing."""
    scale: Literal["255", "max"] = "255"
    """Levels are divided by 255, or by the largest level of the resized photo."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if self.resample == "lanczos" and self.fit != "stretch":
            raise CatalogError("resample is 'lanczos'", remedy="with it, fit must be stretch")


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """How the network's output becomes alpha."""

    index: int | None = None
    """Which output is the prediction; absent where the network has exactly one."""
    activation: Activation = "none"
    """`none` where the network ends in a sigmoid, `sigmoid` where it gives logits, `argmax` over channels."""
    classes: tuple[int, ...] = ()
    """Channels that count as subject under `argmax`."""
    rescale: Literal["none", "minmax"] = "none"
    rescale_when: Literal["before-resize", "after-resize"] = "before-resize"
    quantize: Literal["round", "truncate"] = "round"
    resample: OutputResample = "bilinear"
    """`bilinear` is F.interpolate, `bilinear-corners` with align_corners=True; `bilinear-antialias` and `bicubic` (a = -0.5) are
    Pillow's, which widen when they shrink."""


@dataclass(frozen=True, kw_only=True)
class FileSpec:
    """One published file of a model."""

    role: Role
    url: tuple[str, ...] = ()
    """The same bytes at each source, tried in this order: URLs, or the short forms of `liftout.models.sources`. None where
    the authors publish it nowhere that can be reached so: it then comes from `LIFTOUT_MIRROR` or by hand, and needs a `name`."""
    format: str = ""
    """`pth`, `safetensors`, `onnx`, ...; by default the suffix of the URL."""
    name: str = ""
    """File name in the cache and on a mirror; by default the last part of the first URL."""
    bytes: int | None = None
    sha256: str | None = None
    """Whole, or the known head `abcd...` or head and tail `abcd...ef` of it."""
    md5: str | None = None
    activation: Activation | None = None
    """Where this file differs from `output.activation`: some exports carry the sigmoid inside."""
    index: int | None = None
    """Where this file differs from `output.index`."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """What its weights are stored in."""
    gated: bool = False
    """The hub asks for an account that has accepted its terms (`HF_TOKEN`)."""
    peak_bytes: int | None = None
    """Memory that running this file takes at its peak, for ONNX files; None where not known."""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.name and not self.url:
            raise CatalogError("files[]: a file needs a `url` or a `name`")
        if not self.name:
            object.__setattr__(self, "name", self.url[0].split("?")[0].rstrip("/").rsplit("/", 1)[-1])
        if not _PLAIN_NAME.fullmatch(self.name):
            raise CatalogError(f"files[].name is {self.name!r}", remedy="it must be a plain file name")
        for source in self.url:
            try:
                parse(source)
            except CatalogError as error:
                raise CatalogError(f"files[].url: {error.problem}", remedy=error.remedy) from None
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise CatalogError(
                f"files[].sha256 is {self.sha256!r}", remedy="it must be 64 hex digits, or `head...tail` of them"
            )
        if self.md5 is not None and not _MD5.fullmatch(self.md5):
            raise CatalogError(f"files[].md5 is {self.md5!r}", remedy="it must be 32 hex digits")
        if self.bytes is not None and self.bytes < 1:
            raise CatalogError(f"files[].bytes is {self.bytes}", remedy="it must be at least 1")
        if not self.format:
            object.__setattr__(self, "format", self.name.rsplit(".", 1)[-1].lower())


@dataclass(frozen=True, kw_only=True)
class LicenseSpec:
    """What the authors allow."""

    code: str = "unknown"
    weights: str = "unknown"
    commercial: bool = False
    """Whether the weights may be used commercially; consent is asked where not."""
    note: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything that is known about one model."""

    name: str
    family: str
    architecture: str
    """Key of `liftout.networks`, or `onnx` where only a graph is published."""
    summary: str = ""
    notes: tuple[str, ...] = ()
    """Points that are unresolved or surprising; printed by `liftout models show`."""
    paper: str = ""
    origin: str = ""
    patch_order: Literal["cgw", "wgc"] | None = None
    """BiRefNet: channel order of the input patches, (colour, row, column) or (column, row, colour)."""
    input: InputSpec
    output: OutputSpec = field(default_factory=OutputSpec)
    files: tuple[FileSpec, ...] = ()
    files_of: str = ""
    """The model under whose name the files and packs are kept, where several entries read the same weights differently."""
    license: LicenseSpec = field(default_factory=LicenseSpec)
    added: bool = False
    """Whether the user entered this model: they know its licence, so consent is not asked."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars, with the keys of the TOML; keys at their default are left out."""
        return typing.cast("dict[str, Any]", _plain(self))

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any], *, where: str = "") -> Self:
        """The inverse of `to_dict`.

        where: file and entry, for messages. Raises CatalogError for an unknown key, a missing one, or a wrong value.
        """
        return typing.cast("Self", _build(cls, entry, where or str(entry.get("name", "model"))))

    def __post_init__(self) -> None:
        for name in (self.name, self.stored_as):
            if not _PLAIN_NAME.fullmatch(name):
                raise CatalogError(
                    f"{name!r} cannot name a model: letters, digits and . _ + - only, beginning with one of the first"
                )

    @property
    def stored_as(self) -> str:
        """Name of the folder that holds the model's files, here and on a mirror."""
        return self.files_of or self.name

    def with_size(self, size: tuple[int, int]) -> ModelSpec:
        """The same model at another input size, [height, width]."""
        return dataclasses.replace(self, input=dataclasses.replace(self.input, size=size))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {}
        for item in dataclasses.fields(value):
            content = getattr(value, item.name)
            default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
            if content != default:
                plain[item.name] = _plain(content)
        return plain
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


# Not msgspec or cattrs: their errors name a path such as `$.input.size[0]`, not the file, the entry, the key and what is allowed
# there, and a single URL where a list is expected would need a hook of our own. Translating them takes as many lines as this.
def _build(cls: type[Any], entry: Mapping[str, Any], where: str) -> object:
    if not isinstance(entry, Mapping):
        raise CatalogError(f"expected a table, not {entry!r}", subject=where)
    hints = _hints(cls)  # type: ignore[arg-type]  # classes are hashable; mypy doubts it of type[Any]
    known = {item.name: item for item in dataclasses.fields(cls)}
    for key in entry:
        if key not in known:
            raise CatalogError(f"unknown key `{key}`", subject=where, remedy=f"known are {', '.join(sorted(known))}")
    values = {}
    for name, item in known.items():
        if name in entry:
            values[name] = _value(hints[name], entry[name], where, name)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise CatalogError(f"the key `{name}` is missing", subject=where)
    try:
        return cls(**values)
    except CatalogError as error:
        raise CatalogError(error.what(), subject=where, remedy=error.remedy) from None


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _value(hint: Any, value: Any, where: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast("type[Any]", hint), value, f"{where}: {key}")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise CatalogError(
                f"{key} is {value!r}", subject=where, remedy=f"it must be one of {', '.join(map(str, arguments))}"
            )
        return value
    if origin is types.UnionType or origin is typing.Union:
        if value is None:
            return None
        return _value(next(part for part in arguments if part is not type(None)), value, where, key)
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise CatalogError(f"{key} is {value!r}", subject=where, remedy="it must be a list")
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        if not variadic and len(items) != len(arguments):
            raise CatalogError(f"{key} has {len(items)} items", subject=where, remedy=f"it must have {len(arguments)}")
        kinds = [arguments[0]] * len(items) if variadic else arguments
        return tuple(
            _value(kind, item, where, f"{key}[{i}]") for i, (kind, item) in enumerate(zip(kinds, items, strict=True))
        )
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, bool):
        raise CatalogError(f"{key} is {value!r}", subject=where, remedy="it must be a whole number")
    if not isinstance(value, hint):
        raise CatalogError(f"{key} is {value!r}", subject=where, remedy=f"it must be of type {hint.__name__}")
    return value
