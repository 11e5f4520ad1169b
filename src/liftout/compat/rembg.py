"""rembg's Python API over liftout: change the import, keep the program.

    from liftout.compat.rembg import remove, new_session

Follows rembg 2.0.86 in names, arguments, defaults and types of results. Where it differs, it is on purpose:

* Colours are straight and freed of the old background, so that no dark or coloured halo stays; `decontaminate` is accepted and
  changes nothing, because that is the default here. `putalpha=True` keeps the photo's own colours.
* `alpha_matting` and `vitmatte` both mean `edges="refined"`. The band that is matted is found from the alpha itself; the three
  `alpha_matting_...` numbers and `vitmatte_model` are checked and not needed.
* Without a model name the built-in one runs, which is free for any use.
* An argument that neither knows is an error. Profile, EXIF, XMP and resolution survive in bytes, 16-bit input stays 16-bit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.catalog.names import DEFAULT_MODEL
from liftout.compose.smoothing import smoothed
from liftout.cutout import Cutout
from liftout.errors import UnknownModel, UsageError
from liftout.images import encode, format_of
from liftout.images.levels import to_8_bit
from liftout.options import Edges
from liftout.remover import Remover

__all__ = ["Session", "new_session", "remove"]

Array = npt.NDArray[Any]
ClothCategory = Literal["upper", "lower", "full", "attire"]

_NAMES = {"bria-rmbg": "rmbg-2.0", "birefnet-general-fp16": "birefnet-general"}
"""rembg's names of models that are called otherwise here."""
_OWN_FILES = ("u2net_custom", "dis_custom", "ben_custom")
_ELSEWHERE = ("sam", "withoutbg", "atlascloud")
_CLOTHES = "u2net_cloth_seg"
_DEVICES = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}


class Session:
    """A loaded model, as `new_session` gives it. Safe to use from several threads."""

    def __init__(self, model_name: str, remover: Remover, *, device: str, threads: int | None) -> None:
        self.model_name = model_name
        self._remover = remover
        self._options = {"device": device, "threads": threads}
        self._clothes: dict[str, Remover] = {}
        self._lock = threading.Lock()

    def predict(self, img: Image.Image) -> list[Image.Image]:
        """The subject's alpha as a list of one grey picture of the size of `img`, upright."""
        return [self._remover(img).mask()]

    def cut(self, data: Any, edges: Edges, clothes: ClothCategory | None) -> Cutout:
        """Cut out one photo; clothes: which, for the model that tells clothes apart."""
        return self._for(clothes).with_edges(edges)(data)

    def _for(self, clothes: ClothCategory | None) -> Remover:
        if clothes is None or clothes == "attire":
            return self._remover
        if self.model_name != _CLOTHES:
            raise UsageError(f"cc={clothes!r} is for the model {_CLOTHES}; this session runs {self.model_name}")
        with self._lock:
            if clothes not in self._clothes:
                self._clothes[clothes] = Remover(f"{_CLOTHES}-{clothes}", **self._options)  # type: ignore[arg-type]
            return self._clothes[clothes]

    def __repr__(self) -> str:
        return f"<Session of {self.model_name}>"


def new_session(
    model_name: str = "", *, providers: Sequence[Any] | None = None, sess_opts: object | None = None
) -> Session:
    """Load a model.

    model_name: rembg's name or liftout's; empty is the built-in model. providers: ONNX Runtime's names, of which the first
    decides where it runs. sess_opts: ONNX Runtime's SessionOptions, of which the number of threads is used.
    Raises UnknownModel, ModelUnavailable, EngineError, UsageError.
    """
    name = _NAMES.get(model_name, model_name) or DEFAULT_MODEL
    if name in _OWN_FILES:
        raise UsageError(
            f"{name}: add your file once with `liftout models add NAME --onnx FILE --like MODEL`, then give NAME here"
        )
    if name in _ELSEWHERE:
        raise UnknownModel(f"{name} is not among liftout's models; `liftout models list` shows them")
    device, threads = _device(providers), _threads(sess_opts)
    return Session(name, Remover(name, device=device, threads=threads), device=device, threads=threads)


@overload
def remove(data: bytes | bytearray | str | os.PathLike[str], *args: Any, **kwargs: Any) -> bytes: ...


@overload
def remove(data: Image.Image, *args: Any, **kwargs: Any) -> Image.Image | bytes: ...


@overload
def remove(data: Array, *args: Any, **kwargs: Any) -> Array | bytes: ...


def remove(
    data: bytes | bytearray | str | os.PathLike[str] | Image.Image | Array,
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    session: Session | None = None,
    only_mask: bool = False,
    post_process_mask: bool = False,
    decontaminate: bool = False,
    vitmatte: bool = False,
    vitmatte_model: str | None = None,
    bgcolor: Sequence[int] | None = None,
    force_return_bytes: bool = False,
    *,
    putalpha: bool = False,
    cc: ClothCategory | None = None,
    cloth_category: ClothCategory | None = None,
    model_name: str = "",
    providers: Sequence[Any] | None = None,
    sess_opts: object | None = None,
) -> bytes | Image.Image | Array:
    """Cut out one photo; arguments as in rembg, see this module's own words for the differences.

    data: encoded bytes or a path (gives PNG bytes), a Pillow image (gives one), or an array (gives one). only_mask: the alpha
    as a grey picture. post_process_mask: a hard, smoothed edge. bgcolor: (r, g, b) or (r, g, b, a), put behind the subject.
    cc, cloth_category: upper, lower, full or attire, for u2net_cloth_seg. model_name, providers, sess_opts: as for
    `new_session`, where no session is given; that session is kept for the next call.
    Raises TypeError for an argument that is not known, and liftout's errors.
    """
    _check_matting(
        alpha_matting_foreground_threshold, alpha_matting_background_threshold, alpha_matting_erode_size, vitmatte_model
    )
    colour = None if bgcolor is None else _colour(bgcolor)
    if session is None:
        session = _kept_session(model_name, providers, sess_opts)
    elif not isinstance(session, Session):
        raise UsageError(f"session is {session!r}; it must come from liftout.compat.rembg.new_session")
    edges: Edges = "plain" if putalpha else "refined" if alpha_matting or vitmatte else "auto"
    cutout = session.cut(data, edges, cc or cloth_category)
    if post_process_mask:
        cutout = cutout.with_alpha(smoothed(cutout.alpha))
    if only_mask:
        levels = cutout.alpha
    elif colour is not None:
        levels = cutout.composite(colour)
    else:
        levels = cutout.levels
    if force_return_bytes or isinstance(data, bytes | bytearray | str | os.PathLike):
        return _png(cutout, levels)
    if isinstance(data, Image.Image):
        return Image.fromarray(levels) if only_mask else _pillow(cutout, levels)
    return levels


_kept: dict[tuple[object, ...], Session] = {}
_kept_lock = threading.Lock()


def _kept_session(model_name: str, providers: Sequence[Any] | None, sess_opts: object | None) -> Session:
    """The session of the last call without one, if it is of the same model: rembg loads it for each photo anew."""
    key = (model_name, _device(providers), _threads(sess_opts))
    with _kept_lock:
        if key not in _kept:
            opened = new_session(model_name, providers=providers, sess_opts=sess_opts)
            _kept.clear()
            _kept[key] = opened
        return _kept[key]


def _device(providers: Sequence[Any] | None) -> str:
    if not providers:
        return "auto"
    if isinstance(providers, str):
        raise UsageError(f"providers is {providers!r}; it must be a list, such as ['CPUExecutionProvider']")
    first = providers[0][0] if isinstance(providers[0], tuple) else providers[0]
    if first not in _DEVICES:
        raise UsageError(f"providers: {first!r} cannot be chosen; there are {', '.join(_DEVICES)}")
    return _DEVICES[first]


def _threads(sess_opts: object | None) -> int | None:
    asked = getattr(sess_opts, "intra_op_num_threads", 0) or os.environ.get("OMP_NUM_THREADS", "")
    try:
        return int(asked) if asked else None
    except ValueError:
        return None


def _check_matting(foreground: object, background: object, erode: object, vitmatte_model: object) -> None:
    numbers = {
        "alpha_matting_foreground_threshold": foreground,
        "alpha_matting_background_threshold": background,
        "alpha_matting_erode_size": erode,
    }
    for name, value in numbers.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 0:
            raise UsageError(f"{name} is {value!r}; it must be a whole number of 0 or more")
    if vitmatte_model is not None and not isinstance(vitmatte_model, str):
        raise UsageError(f"vitmatte_model is {vitmatte_model!r}; it must be a name")


def _colour(bgcolor: Sequence[int]) -> tuple[int, int, int, int]:
    levels = tuple(bgcolor)
    whole = all(isinstance(level, int | np.integer) and 0 <= level <= 255 for level in levels)
    if len(levels) not in (3, 4) or not whole:
        raise UsageError(f"bgcolor is {bgcolor!r}; it must be (r, g, b, a), each from 0 to 255")
    red, green, blue, opacity = (int(level) for level in (*levels, 255)[:4])
    return red, green, blue, opacity


def _png(cutout: Cutout, levels: Array) -> bytes:
    photo = cutout.photo
    icc = photo.icc if levels.ndim == 3 else None
    return encode(levels, format_of("png"), icc=icc, exif=photo.exif, xmp=photo.xmp, dpi=photo.dpi)


def _pillow(cutout: Cutout, levels: Array) -> Image.Image:
    image = Image.fromarray(to_8_bit(levels))
    if cutout.photo.icc:
        image.info["icc_profile"] = cutout.photo.icc
    return image
