"""Where photos and cutouts are kept: a folder, a bucket, an archive, through fsspec.

Files are read and written whole. On a disk a file is written under a temporary name in `.liftout/partial` and then renamed;
content and folders are synchronised, so that each step survives a power failure before the next one begins. In an object store
it is one PUT, which shows the old object or the new one and nothing between.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftout.errors import ExtraMissing, OutputError, UsageError, one_line
from liftout.files import is_alive, make_folder, sync_folder
from liftout.remedies import InstallExtra

OWN = ".liftout"
"""Folder in the target for the journal, claims and files being written."""
_PARTIAL = f"{OWN}/partial"

_READ_ONLY = ("zip", "tar", "http", "https", "libarchive", "github", "data", "reference")


@dataclass(frozen=True)
class Entry:
    """A file in a listing."""

    name: str
    """Name without the folder."""
    size: int | None
    signature: str
    """Changes when the content does: the size with the etag, checksum or time of change, whichever the store has."""


@dataclass(frozen=True)
class Listing:
    """One folder: its files by name, and the names of its subfolders."""

    files: dict[str, Entry]
    folders: list[str]


class Storage:
    """A folder, or an fsspec URL. Paths given to its methods are relative to it, with `/`.

    Methods raise OSError, or the exceptions of the store's own library, where the store fails.
    """

    def __init__(self, url: str) -> None:
        """Raises UsageError for an unknown kind of URL, ExtraMissing where the package for it is not installed."""
        self.url = url
        self._fs, self._root = _connect(url)
        protocol = self._fs.protocol
        self.kinds: tuple[str, ...] = (protocol,) if isinstance(protocol, str) else tuple(protocol)

    @property
    def on_disk(self) -> Path | None:
        """The folder, where the storage is one on this machine's disk."""
        return Path(self._root) if "file" in self.kinds else None

    @property
    def place(self) -> str:
        """Where it is, whatever the current folder: an absolute path, or the URL."""
        if self.on_disk is not None:
            return str(self.on_disk)
        return self.url.rstrip("/") if "://" in self.url else str(Path(self.url).expanduser().resolve())

    @property
    def in_this_process(self) -> bool:
        """Whether no other process can see it."""
        return "memory" in self.kinds

    @property
    def writable(self) -> bool:
        """Whether files can be written here one by one, and others see each at once."""
        return not any(kind in _READ_ONLY for kind in self.kinds)

    def is_folder(self) -> bool:
        """Whether it exists and is a folder."""
        return bool(self._fs.isdir(self._root))

    def is_file(self) -> bool:
        """Whether it is a file instead of a folder."""
        return bool(self._fs.isfile(self._root))

    def listing(self, folder: str) -> Listing:
        """What a folder holds; nothing where it does not exist. Links to folders are not followed."""
        path = self._at(folder)
        self._fs.invalidate_cache(path)
        try:
            infos = self._fs.ls(path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return Listing({}, [])
        finally:
            self._fs.invalidate_cache(path)  # a listing of millions would otherwise stay in memory
        files: dict[str, Entry] = {}
        folders: list[str] = []
        for info in infos:
            name = info["name"].rstrip("/").rsplit("/", 1)[-1]
            if name in ("", ".", ".."):  # an archive may hold names that lead out of it
                continue
            if info.get("islink"):
                info = self._followed(info)
            if info["type"] == "directory" and not info.get("islink"):
                folders.append(name)
            elif info["type"] == "file" and info["name"].rstrip("/") != path.rstrip("/"):
                files[name] = Entry(name, info.get("size"), _signature(info))
        return Listing(files, sorted(folders))

    def read(self, path: str) -> bytes:
        """The content of a file. Raises FileNotFoundError."""
        content: bytes = self._fs.cat_file(self._at(path))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file in one step; an existing one is replaced."""
        target = self._at(path)
        if self.on_disk is None:
            self._fs.pipe_file(target, content)
            return
        folder = Path(target).parent
        make_folder(folder)
        partial = self._partial()
        try:
            with partial.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
            sync_folder(folder)
        finally:
            partial.unlink(missing_ok=True)

    def fetch(self, path: str, local: Path) -> None:
        """Copy a file to this machine's disk. Raises FileNotFoundError."""
        self._fs.get_file(self._at(path), str(local))

    def put(self, path: str, local: Path) -> None:
        """Write a file of this machine's disk in one step, as `write` does; where both are on one disk it is moved."""
        target = self._at(path)
        if self.on_disk is None:
            self._fs.put_file(str(local), target)
            return
        folder = Path(target).parent
        make_folder(folder)
        with local.open("rb+") as stream:
            os.fsync(stream.fileno())
        local.replace(target)
        sync_folder(folder)

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where it does not exist."""
        target = self._at(path)
        try:
            self._fs.rm_file(target)
        except FileNotFoundError:
            return
        if self.on_disk is not None:
            sync_folder(Path(target).parent)

    def size(self, path: str) -> int | None:
        """Bytes of a file; None where it does not exist."""
        target = self._at(path)
        self._fs.invalidate_cache(target.rsplit("/", 1)[0])
        try:
            size: int = self._fs.info(target)["size"]
        except FileNotFoundError:
            return None
        return size

    def clear_partial(self) -> None:
        """Remove files that a killed batch of this machine left half-written."""
        if self.on_disk is None:
            return
        for path in (self.on_disk / _PARTIAL).glob("*"):
            host, _, rest = path.name.rpartition("@")
            pid = rest.partition("-")[0]
            if host == socket.gethostname() and pid.isdigit() and not is_alive(int(pid)):
                path.unlink(missing_ok=True)

    def _partial(self) -> Path:
        """A temporary name that says which process writes the file, so that `clear_partial` knows whether it still does."""
        folder = Path(self._root) / _PARTIAL
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{socket.gethostname()}@{os.getpid()}-{secrets.token_hex(4)}"

    def _at(self, path: str) -> str:
        if not path or not self._root:
            return path or self._root
        return f"{self._root.rstrip('/')}/{path}"

    def _followed(self, link: dict[str, Any]) -> dict[str, Any]:
        """The target of a link; a broken link is neither file nor folder."""
        try:
            info: dict[str, Any] = self._fs.info(link["name"])
        except OSError:
            return {**link, "type": "other"}
        try:
            if Path(link["name"]).is_file():
                return {**info, "type": "file", "mtime": Path(link["name"]).stat().st_mtime}
        except OSError:
            pass
        return {**info, "type": "other"}


def check_apart(source: Storage, target: Storage) -> None:
    """Raise UsageError where outputs could replace inputs, or would be inputs of the next run.

    source: of the photos. target: of the outputs.
    """
    if not target.writable:
        raise UsageError(
            "cannot be a target, because files cannot be written there one by one",
            subject=target.url,
            remedy="give a folder or a bucket",
        )
    if source.kinds != target.kinds:
        return
    ours, theirs = (storage._root.rstrip("/") + "/" for storage in (source, target))
    if ours == theirs or ours.startswith(theirs):
        raise UsageError(
            f"is inside {target.url}: results could replace photos", subject=source.url, remedy="choose another target"
        )


def inside(source: Storage, target: Storage) -> str | None:
    """The target's path within the source where it is inside of it, as its files are results and not photos; else None."""
    if source.kinds != target.kinds:
        return None
    ours, theirs = (storage._root.rstrip("/") + "/" for storage in (source, target))
    return theirs.removeprefix(ours).rstrip("/") if theirs.startswith(ours) else None


def open_storage(url: str) -> Storage:
    """A storage that answers. Raises what `Storage` raises, and OutputError where the store cannot be reached."""
    storage = Storage(url)
    try:
        storage.is_folder()
    except Exception as error:  # noqa: BLE001 - each store's library has exceptions of its own
        raise OutputError(
            f"cannot be reached: {one_line(error, 300)}", subject=url, remedy="check the URL and the credentials"
        ) from None
    return storage


def _connect(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ExtraMissing("folders and buckets need fsspec", remedy=InstallExtra("batch")) from None
    original = url
    if "::" not in url and url.lower().endswith(".zip") and "://" not in url and Path(url).is_file():
        url = f"zip://::{url}"
    if "://" not in url and "::" not in url:
        url = str(Path(url).expanduser().resolve())
    try:
        fs, root = url_to_fs(url)
    except ImportError as error:
        protocol = url.split("://", 1)[0].rsplit("::", 1)[-1]
        package = _PACKAGES.get(protocol)
        needs = f"the package {package}" if package else f"a package: {one_line(error, 300)}"
        raise ExtraMissing(
            f"{protocol}:// needs {needs}", subject=original, remedy=f"run `pip install {package}`" if package else ""
        ) from None
    except ValueError as error:
        raise UsageError(
            one_line(error, 300), subject=original, remedy="give a folder or a URL such as s3://bucket/photos"
        ) from None
    except FileNotFoundError:
        raise UsageError("no such file", subject=original) from None
    return fs, root if isinstance(root, str) else str(root)


_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "hdfs": "pyarrow",
}


def _signature(info: dict[str, Any]) -> str:
    keys = (
        "ETag",
        "etag",
        "md5Hash",
        "content_md5",
        "CRC",
        "mtime",
        "LastModified",
        "last_modified",
        "updated",
        "created",
    )
    version = next((f"{key}={info[key]}" for key in keys if info.get(key) is not None), "")
    return f"{info.get('size')};{version}"
