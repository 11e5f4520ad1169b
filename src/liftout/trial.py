"""A faster precision put to the proof on the user's first photos.

The first photos of a model run in fp32 and in the faster precision. Where the alphas agree within the bar (mean 0.005, IoU
0.995), that is kept under `LIFTOUT_HOME` for this model, engine and version, and the faster one runs from then on; where they
do not, that is kept too. Until it is settled the result is always that of fp32.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import threading
from collections.abc import Callable

import numpy as np

from liftout.agreement import BARS, compare
from liftout.engines import EngineOptions, Float32, Network, NetworkFile, open_network
from liftout.engines.choice import Choice
from liftout.errors import LiftoutError
from liftout.graphs import UInt8
from liftout.home import read_record, write_record

PHOTOS = 3
"""How many photos must agree, over all runs of liftout together."""

_logger = logging.getLogger("liftout")


def verdict(file: NetworkFile, choice: Choice, faster: str) -> bool | None:
    """What is known of a faster precision: it agrees, it does not, or (None) it must be tried."""
    fact = read_record("trials", file.name, _key(file, choice, faster))
    agrees = fact.get("agrees")
    return agrees if isinstance(agrees, bool) else None


class Trial:
    """Runs both until it is settled, then one. Stands in for a `Network`; `alpha` is what the pipeline calls."""

    def __init__(self, file: NetworkFile, choice: Choice, faster: str, threads: int | None) -> None:
        self._file, self._choice, self._faster, self._threads = file, choice, faster, threads
        agrees = verdict(file, choice, faster)
        self._settled = agrees is not None
        self._network = self._open(faster if agrees else "fp32")
        self._rival: Network | None = None
        self._lock = threading.Lock()

    @property
    def network(self) -> Network:
        """The network whose results count."""
        return self._network

    @property
    def settled(self) -> bool:
        """Whether one network is left."""
        return self._settled

    def alpha(self, tensor: Float32, finish: Callable[[Float32], UInt8]) -> UInt8:
        """The alpha of one photo. finish: prediction -> alpha."""
        if self._settled:
            return finish(self._network.run(tensor))
        with self._lock:
            return self._both(tensor, finish)

    def close(self) -> None:
        """Give the memory back."""
        self._network.close()
        if self._rival:
            self._rival.close()

    def _open(self, precision: str) -> Network:
        options = EngineOptions(device=self._choice.device, precision=precision, threads=self._threads)  # type: ignore[arg-type]
        return open_network(self._file, engine=self._choice.engine, options=options)

    def _both(self, tensor: Float32, finish: Callable[[Float32], UInt8]) -> UInt8:
        wanted = finish(self._network.run(tensor))
        if self._settled:  # another thread was quicker
            return wanted
        key = _key(self._file, self._choice, self._faster)
        try:
            rival = self._rival = self._rival or self._open(self._faster)
            told, _ = compare(finish(rival.run(tensor)), wanted, "")
        except LiftoutError as error:
            _logger.debug("%s: %s cannot be tried: %s", self._file.name, self._faster, error)
            self._settled = True
            return wanted
        digest = hashlib.blake2b(np.ascontiguousarray(tensor).tobytes(), digest_size=8).hexdigest()
        fact = read_record("trials", self._file.name, key)
        photos = {**fact.get("photos", {}), digest: [round(told.difference, 6), round(told.iou, 6)]}
        fact = {"engine": self._choice.engine, "precision": self._faster, "photos": photos}
        bar = BARS[self._faster]
        differences, ious = zip(*photos.values(), strict=True)
        if len(photos) >= PHOTOS:
            agrees = float(np.mean(differences)) <= bar.mean and float(np.mean(ious)) >= bar.iou
            fact["agrees"] = agrees
            self._settle(agrees, rival)
        write_record("trials", self._file.name, key, record=fact)
        return wanted

    def _settle(self, agrees: bool, rival: Network) -> None:
        if agrees:
            self._network = rival  # the other may be running for another thread; it goes when nobody holds it
        else:
            rival.close()
        self._rival, self._settled = None, True


def _key(file: NetworkFile, choice: Choice, faster: str) -> str:
    """What a verdict holds for: engine and its version, precision, processor, and this very file."""
    from importlib.metadata import PackageNotFoundError, version  # a hundredth of a second that few runs need

    try:
        engine_version = version(choice.engine)
    except PackageNotFoundError:
        engine_version = "unknown"
    size = file.path.stat().st_size if file.path.is_file() else 0
    return f"{choice.engine}-{engine_version}-{faster}-{platform.machine()}-{file.size[0]}x{file.size[1]}-{size}"
