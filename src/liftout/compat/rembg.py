"""rembg's Python API over liftout: change the import, keep the program.

    from liftout.compat.rembg import remove, new_session

Follows rembg 2.0.86 in names, arguments, defaults and types of results. Where it differs, it is on purpose:

* Colours are straight and freed of the old background, so that no dark or coloured halo stays; `decontaminate` is accepted and
  changes nothing, because that is the default here. `putalpha=True` keeps the photo's own colours.
* `alpha_matting` and `vitmatte` both mean `edges="refined"`. The band that is matted is found from the alpha itself; the three
  `alpha_matting_...` numbers and `vitmatte_model` are checked and not needed.
* Without a model name the built-in one runs, which is free for any use.
* Model files that rembg has downloaded (`U2NET_HOME`, `~/.u2net`, `REMBG_HOME`, `~/.rembg`) are used where they are the
  published ones by their hash.
* An argument that neither knows is an error. Profile, EXIF, XMP and resolution survive in bytes, 16-bit input stays 16-bit.
"""

from __future__ import annotations

import os
import shutil
import threading
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.compose.smoothing import smoothed
from liftout.cutout import Cutout
from liftout.errors import ModelFileCorrupt, UnknownModel, UsageError
from liftout.images import encode, format_of
from liftout.images.levels import to_8_bit
from liftout.models import cache, hash_cache
from liftout.models.catalog import find
from liftout.models.resolve import is_path, locate, presence
from liftout.models.spec import ModelSpec
from liftout.options import DEFAULT_MODEL, Edges
from liftout.remover import Remover

if TYPE_CHECKING:
    import onnxruntime

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

    def __init__(
        self,
        model_name: str,
        remover: Remover,
        *,
        device: str,
        threads: int | None,
        providers: Sequence[Any] | None = None,
        sess_opts: Any = None,
    ) -> None:
        self.model_name = model_name
        self._remover = remover
        self._options = {"device": device, "threads": threads}
        self._inner = (providers or ["CPUExecutionProvider"], sess_opts)
        self._clothes: dict[str, Remover] = {}
        self._lock = threading.Lock()

    @cached_property
    def inner_session(self) -> onnxruntime.InferenceSession:
        """The model's graph in an ONNX Runtime session with the providers and options of `new_session`, opened when it is
        first asked for. `predict` and `remove` do not go through it."""
        import onnxruntime

        providers, options = self._inner
        graph = locate(self._remover.spec).file.path
        return onnxruntime.InferenceSession(os.fspath(graph), sess_options=options, providers=list(providers))

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
    model_name: str = "", sess_opts: object | None = None, *, providers: Sequence[Any] | None = None
) -> Session:
    """Load a model.

    model_name: rembg's name or liftout's; empty is the built-in model. sess_opts: ONNX Runtime's SessionOptions, of which the
    number of threads is used. providers: ONNX Runtime's names, of which the first decides where it runs.
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
    if not is_path(name):
        _take_downloaded(model_name, find(name))
    remover = Remover(name, device=device, threads=threads)
    return Session(name, remover, device=device, threads=threads, providers=providers, sess_opts=sess_opts)


def _take_downloaded(model_name: str, spec: ModelSpec) -> None:
    """Give liftout the model file that rembg has downloaded, where liftout has none: a hard link where possible, else a copy.

    Only a file with the hash of a published one is taken; of any other a RuntimeWarning says that it is not used.
    """
    path = next((path for path in _downloads(model_name) if path.is_file()), None)
    if path is None or presence(spec) is not None:
        return
    published = [file for file in spec.files if file.role == "onnx" and cache.expectation(spec, file).pinned]
    for file in published:
        target = cache.path_of(spec, file)
        try:
            hash_cache.verified(path, cache.expectation(spec, file), model=spec.name)
        except ModelFileCorrupt:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.urandom(4).hex()}.partial")
        try:
            try:
                os.link(path, partial)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(path, partial)
            partial.replace(target)
        except OSError as error:
            warnings.warn(f"{path} cannot be taken over: {error.strerror}", RuntimeWarning, stacklevel=3)
        finally:
            partial.unlink(missing_ok=True)
        return
    warnings.warn(
        f"{path} is not used: it does not have the hash of the published {spec.name}; to use a file of your own, add it with "
        "`liftout models add NAME --onnx FILE --like MODEL`",
        RuntimeWarning,
        stacklevel=3,
    )


def _downloads(model_name: str) -> list[Path]:
    """Where rembg looks for a model's file: its folder per model, then the flat folder of earlier versions."""
    data, flat = os.environ.get("XDG_DATA_HOME"), os.environ.get("U2NET_HOME")
    own = flat or os.environ.get("REMBG_HOME") or (f"{data}/rembg" if data else "~/.rembg")
    flat = flat or f"{data or '~'}/.u2net"
    file = f"{model_name}.onnx"
    return [Path(own).expanduser() / "models" / model_name / file, Path(flat).expanduser() / file]


@overload
def remove(data: bytes | bytearray | str | os.PathLike[str] | IO[bytes], *args: Any, **kwargs: Any) -> bytes: ...


@overload
def remove(data: Image.Image, *args: Any, **kwargs: Any) -> Image.Image | bytes: ...


@overload
def remove(data: Array, *args: Any, **kwargs: Any) -> Array | bytes: ...


def remove(
    data: bytes | bytearray | str | os.PathLike[str] | IO[bytes] | Image.Image | Array,
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

    data: encoded bytes, a path or a binary file (gives PNG bytes), a Pillow image (gives one), or an array (gives one). only_mask: the alpha
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
    if not force_return_bytes and isinstance(data, np.ndarray):
        return levels
    if not force_return_bytes and isinstance(data, Image.Image):
        return Image.fromarray(levels) if only_mask else _pillow(cutout, levels)
    return _png(cutout, levels)


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
    if sess_opts is not None and not hasattr(sess_opts, "intra_op_num_threads"):
        raise UsageError(
            f"sess_opts is {sess_opts!r}; it must be onnxruntime.SessionOptions, and providers are given by name: providers=[...]"
        )
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
