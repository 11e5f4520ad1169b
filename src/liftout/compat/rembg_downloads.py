"""Model files that rembg has downloaded, so that nobody downloads them twice."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

from liftout.errors import ModelFileCorrupt
from liftout.models import cache, hash_cache
from liftout.models.local import presence
from liftout.models.spec import ModelSpec


def take_downloaded(model_name: str, spec: ModelSpec) -> None:
    """Give liftout the model file that rembg has downloaded, where liftout has none: a hard link where possible, else a copy.

    model_name: rembg's name, which its file has. spec: the model. Only a file with the hash of a published one is taken; of
    any other a RuntimeWarning says that it is not used.
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
            warnings.warn(f"{path} cannot be taken over: {error.strerror}", RuntimeWarning, stacklevel=4)
        finally:
            partial.unlink(missing_ok=True)
        return
    warnings.warn(
        f"{path} is not used: it does not have the hash of the published {spec.name}; to use a file of your own, add it with "
        "`liftout models add NAME --onnx FILE --like MODEL`",
        RuntimeWarning,
        stacklevel=4,
    )


def _downloads(model_name: str) -> list[Path]:
    """Where rembg looks for a model's file: its folder per model, then the flat folder of earlier versions."""
    data, flat = os.environ.get("XDG_DATA_HOME"), os.environ.get("U2NET_HOME")
    own = flat or os.environ.get("REMBG_HOME") or (f"{data}/rembg" if data else "~/.rembg")
    flat = flat or f"{data or '~'}/.u2net"
    file = f"{model_name}.onnx"
    return [Path(own).expanduser() / "models" / model_name / file, Path(flat).expanduser() / file]
