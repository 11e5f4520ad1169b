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
* `sam_prompt` (points and a rectangle) works with every model and needs no download; the model `sam` is the built-in one.
* An argument that neither knows is an error. Profile, EXIF, XMP and resolution survive in bytes, 16-bit input stays 16-bit.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.adapters import rembg as adapter
from liftout.adapters.rembg import CLOTHES_MODEL, Arguments, ClothCategory
from liftout.compat.rembg_downloads import take_downloaded
from liftout.cutout import Cutout
from liftout.errors import UnknownModel, UsageError
from liftout.models.catalog import find
from liftout.models.local import is_path
from liftout.models.resolve import locate
from liftout.options import Edges, RunOptions
from liftout.prompts import Asked
from liftout.remedies import AddModel, ListModels
from liftout.remover import Remover, models

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["Session", "new_session", "remove"]

Array = npt.NDArray[Any]

_CUSTOM_MODELS = ("u2net_custom", "dis_custom", "ben_custom")
_MISSING_MODELS = ("withoutbg", "atlascloud")
_DEVICES = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}


class Session:
    """A loaded model, as `new_session` gives it. Safe to use from several threads."""

    def __init__(self, options: RunOptions, *, providers: Sequence[Any] | None = None, sess_opts: Any = None) -> None:
        self.model_name = options.model
        self._options = options
        self._inner = (providers or ["CPUExecutionProvider"], sess_opts)
        self._uses = ExitStack()
        weakref.finalize(self, self._uses.close)
        self._removers: dict[str, Remover] = {}
        self._lock = threading.Lock()
        self._remover = self._loaded(options.model)

    @cached_property
    def inner_session(self) -> onnxruntime.InferenceSession:
        """The model's graph in an ONNX Runtime session with the providers and options of `new_session`, opened when it is
        first asked for. `predict` and `remove` do not go through it."""
        import onnxruntime

        providers, options = self._inner
        graph = locate(self._remover.spec).file.path
        return onnxruntime.InferenceSession(os.fspath(graph), sess_options=options, providers=list(providers))

    def predict(self, img: Image.Image, *, sam_prompt: Sequence[Mapping[str, Any]] | None = None) -> list[Image.Image]:
        """The subject's alpha as a list of one grey picture of the size of `img`, upright. sam_prompt: as for `remove`."""
        with adapter.as_marks():
            return [self._remover(img, **vars(adapter.asked(sam_prompt))).mask()]

    def cut(self, data: Any, edges: Edges, clothes: ClothCategory | None, asked: Asked) -> Cutout:
        """Cut out one photo; clothes: which, for the model that tells clothes apart. asked: prompts."""
        with adapter.as_marks():
            return self._for(clothes).with_edges(edges)(data, **vars(asked))

    def _for(self, clothes: ClothCategory | None) -> Remover:
        if clothes is None or clothes == "attire":
            return self._remover
        if self.model_name != CLOTHES_MODEL:
            raise UsageError(
                f"is {clothes!r}, which is for the model {CLOTHES_MODEL}; this session runs {self.model_name}",
                field="cc",
                remedy="leave it out",
            )
        return self._loaded(f"{CLOTHES_MODEL}-{clothes}")

    def _loaded(self, model: str) -> Remover:
        """A model, which stays loaded as long as this session."""
        with self._lock:
            if model not in self._removers:
                using = models.using(dataclasses.replace(self._options, model=model))
                self._removers[model] = self._uses.enter_context(using)
            return self._removers[model]

    def __repr__(self) -> str:
        return f"<Session of {self.model_name}>"


def new_session(
    model_name: str = "",
    sess_opts: object | None = None,
    *,
    providers: Sequence[Any] | None = None,
    sam_model: str | None = None,
    sam_quant: bool | None = None,
) -> Session:
    """Load a model.

    model_name: rembg's name or liftout's; empty is the built-in model, and so is `sam`. sam_model, sam_quant: refused, the files of SAM that
    they choose among are not here. sess_opts: ONNX Runtime's SessionOptions, of which the
    number of threads is used. providers: ONNX Runtime's names, of which the first decides where it runs.
    Raises UnknownModel, ModelUnavailable, EngineError, UsageError.
    """
    _refuse_files_of_sam(sam_model=sam_model, sam_quant=sam_quant)
    if model_name in _CUSTOM_MODELS:
        raise UsageError("takes no file here", subject=model_name, remedy=(AddModel(), "give its name here"))
    if model_name in _MISSING_MODELS:
        raise UnknownModel("is not among liftout's models", subject=model_name, remedy=ListModels())
    name = adapter.model_name(model_name)
    device, threads = _device(providers), _threads(sess_opts)
    if not is_path(name):
        take_downloaded(model_name, find(name))
    options = RunOptions(model=name, device=device, threads=threads)
    return Session(options, providers=providers, sess_opts=sess_opts)


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
    sam_prompt: Sequence[Mapping[str, Any]] | None = None,
    sam_model: str | None = None,
    sam_quant: bool | None = None,
) -> bytes | Image.Image | Array:
    """Cut out one photo; arguments as in rembg, see this module's own words for the differences.

    data: encoded bytes, a path or a binary file (gives PNG bytes), a Pillow image (gives one), or an array (gives one). only_mask: the alpha
    as a grey picture. post_process_mask: a hard, smoothed edge. bgcolor: (r, g, b) or (r, g, b, a), put behind the subject.
    cc, cloth_category: upper, lower, full or attire, for u2net_cloth_seg. sam_prompt: what the subject is, a list of
    {"type": "point", "data": [x, y], "label": 1 (keep) or 0 (drop)} and {"type": "rectangle", "data": [left, top, right, bottom]} in pixels of
    the upright photo, for any model. model_name, providers, sess_opts, sam_model, sam_quant: as for `new_session`, where no session is
    given (the last two are refused); two models stay loaded.
    Raises TypeError for an argument that is not known, and liftout's errors.
    """
    arguments = Arguments(
        model_name=model_name,
        alpha_matting=alpha_matting,
        alpha_matting_foreground_threshold=alpha_matting_foreground_threshold,
        alpha_matting_background_threshold=alpha_matting_background_threshold,
        alpha_matting_erode_size=alpha_matting_erode_size,
        only_mask=only_mask,
        post_process_mask=post_process_mask,
        decontaminate=decontaminate,
        vitmatte=vitmatte,
        vitmatte_model=vitmatte_model,
        bgcolor=bgcolor,
        putalpha=putalpha,
        sam_prompt=sam_prompt,
    )
    _refuse_files_of_sam(sam_model=sam_model, sam_quant=sam_quant)
    if session is None:
        session = new_session(model_name, sess_opts, providers=providers)  # its model stays loaded for the next call
    elif not isinstance(session, Session):
        raise UsageError(
            f"is {session!r}", field="session", remedy="it must come from liftout.compat.rembg.new_session"
        )
    cutout = session.cut(data, arguments.edges or "auto", cc or cloth_category, adapter.asked(sam_prompt))
    result = adapter.result(cutout, arguments)
    if not force_return_bytes and isinstance(data, np.ndarray):
        return result.levels
    if not force_return_bytes and isinstance(data, Image.Image):
        return result.pillow()
    return result.png()


def _refuse_files_of_sam(**arguments: object) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise UsageError(
                f"is {value!r}, which chooses among the files of SAM",
                field=name,
                remedy="leave it out, the built-in model reads sam_prompt",
            )


def _device(providers: Sequence[Any] | None) -> str:
    if not providers:
        return "auto"
    if isinstance(providers, str):
        raise UsageError(
            f"is {providers!r}", field="providers", remedy="it must be a list, such as ['CPUExecutionProvider']"
        )
    first = providers[0][0] if isinstance(providers[0], tuple) else providers[0]
    if first not in _DEVICES:
        raise UsageError(f"{first!r} cannot be chosen", field="providers", remedy=f"there are {', '.join(_DEVICES)}")
    return _DEVICES[first]


def _threads(sess_opts: object | None) -> int | None:
    if sess_opts is not None and not hasattr(sess_opts, "intra_op_num_threads"):
        raise UsageError(
            f"is {sess_opts!r}",
            field="sess_opts",
            remedy="it must be onnxruntime.SessionOptions, and providers are given by name: providers=[...]",
        )
    threads = getattr(sess_opts, "intra_op_num_threads", 0) or os.environ.get("OMP_NUM_THREADS", "")
    try:
        return int(threads) if threads else None
    except ValueError:
        return None
