"""What to do about an error, as data: an error is raised far from the user, and only the front end knows what the user can do.

    raise OutputExists("already exists", subject=path, remedy=UseOption("overwrite", True))

    Python          out.png: already exists; pass overwrite=True
    command line    out.png: already exists; give --overwrite

`Terms` says options and remedies as a Python caller knows them. `liftout.cli.terms` and `liftout.server.problems` say them as
their users know them. Advice that is the same for everyone is plain text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never


@dataclass(frozen=True)
class UseOption:
    """Give an option. value: the value to give, True for a switch, None where the user knows which."""

    name: str
    value: str | int | None = None


@dataclass(frozen=True)
class RaiseLimit:
    """Raise an option that limits what is accepted, such as `max_pixels`."""

    option: str


@dataclass(frozen=True)
class InstallExtra:
    """Install an extra of liftout, such as `heif`."""

    extra: str


@dataclass(frozen=True)
class AcceptLicense:
    """Accept the licence of a model."""

    model: str


@dataclass(frozen=True)
class PullModel:
    """Download a model."""

    model: str


@dataclass(frozen=True)
class ConvertModel:
    """Make a pack of a model. precision: of the pack. checkpoint: whether the user has to bring the file."""

    model: str
    precision: str = "fp32"
    checkpoint: bool = False


@dataclass(frozen=True)
class AddModel:
    """Add a model of the user's own to the catalogue, from an ONNX file."""


@dataclass(frozen=True)
class ListModels:
    """Look at the names of the models."""


@dataclass(frozen=True)
class RunBatch:
    """Give a folder to a batch instead."""


@dataclass(frozen=True)
class CutPhotos:
    """Cut out single photos instead of a folder."""


Remedy = (
    UseOption
    | RaiseLimit
    | InstallExtra
    | AcceptLicense
    | PullModel
    | ConvertModel
    | AddModel
    | ListModels
    | RunBatch
    | CutPhotos
)
Advice = str | Remedy | tuple[str | Remedy, ...]
"""What an error advises: text, a remedy, or several of which one is enough."""


class Terms:
    """Names of options and remedies for one kind of user: here for a Python caller."""

    def option(self, name: str) -> str:
        """An option's name, as the user writes it."""
        return name

    def remedy(self, remedy: Remedy) -> str:
        """A remedy as a phrase that follows a semicolon."""
        match remedy:
            case UseOption(name, None):
                return f"pass {name}"
            case UseOption(name, value):
                return f"pass {name}={value!r}"
            case RaiseLimit(option):
                return f"pass a larger {option}"
            case InstallExtra(extra):
                return f"run `pip install 'liftout[{extra}]'`"
            case AcceptLicense():
                return "if you accept that, pass accept_license=True once"
            case PullModel():
                return "liftout.models.resolve.pull downloads it"
            case ConvertModel():
                return "liftout.convert.convert_model converts it"
            case AddModel():
                return "liftout.models.add.add_onnx adds a model of your own"
            case ListModels():
                return "liftout.models.catalog.all_models() lists all"
            case RunBatch():
                return "liftout.batch works on folders"
            case CutPhotos():
                return "liftout.remove works on single photos"
            case _:
                assert_never(remedy)

    def advice(self, advice: Advice) -> str:
        """Advice as a phrase; alternatives are joined with `or`."""
        parts = advice if isinstance(advice, tuple) else (advice,)
        text = ""
        for part in parts:
            phrase = part if isinstance(part, str) else self.remedy(part)
            text += phrase if not text else f" {phrase}" if text.endswith("?") else f", or {phrase}"
        return text


PYTHON = Terms()
