"""Jobs on disk: an SQLite database, uploaded photos and results, which survive a restart and may be shared by several servers.

A photo is `queued`, `running`, `done` or `failed`. A server claims one photo at a time for a lease; a photo whose server died is
queued again when the lease ends.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftout.server.multipart import Upload

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, options TEXT NOT NULL, webhook TEXT NOT NULL, created REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL
);
CREATE TABLE IF NOT EXISTS photos (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, number INTEGER NOT NULL, url TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', lease REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    media_type TEXT NOT NULL DEFAULT '', claims INTEGER NOT NULL DEFAULT 0, name TEXT NOT NULL DEFAULT '',
    bytes INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (job, number)
);
CREATE INDEX IF NOT EXISTS photos_by_state ON photos(state);
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs(created);
CREATE INDEX IF NOT EXISTS jobs_by_notice ON jobs(next_attempt) WHERE next_attempt IS NOT NULL;
"""
_ADDED = {"name": "TEXT NOT NULL DEFAULT ''", "bytes": "INTEGER NOT NULL DEFAULT 0"}
"""Columns of photos that databases of earlier versions lack."""
_ORPHAN_SECONDS = 3600
"""A folder this old without a job was left behind by a server that died while it took the job."""


class StoreFull(Exception):
    """As many photos or bytes wait as may."""


@dataclass(frozen=True, kw_only=True)
class PhotoTask:
    """A photo that was claimed. url: empty for an uploaded one. upload: its file, None for a URL. options: the JSON of its job.
    claims: how often it was claimed, this time included."""

    job: str
    number: int
    url: str
    upload: Path | None
    options: dict[str, Any]
    claims: int


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A finished job whose webhook must be called."""

    job: str
    webhook: str
    created: float
    attempts: int


class JobStore:
    """The jobs of one folder. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            folder / "jobs.sqlite", check_same_thread=False, isolation_level=None, timeout=30
        )
        self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; {_SCHEMA}")
        self._add_columns()
        self._delete_orphans()

    def add(
        self,
        photos: Sequence[str | Upload],
        options: dict[str, Any],
        *,
        webhook: str,
        owner: str,
        most_photos: int | None = None,
        most_bytes: int | None = None,
    ) -> str:
        """Add a job; returns its id.

        photos: URLs and uploaded files. most_photos, most_bytes: how many photos and uploaded bytes may wait in all jobs. Raises
        StoreFull, OSError.
        """
        job = secrets.token_urlsafe(12)
        rows = [self._written(job, number, photo) for number, photo in enumerate(photos)]
        try:
            self._insert(job, rows, options, webhook, owner, most_photos, most_bytes)
        except BaseException:
            shutil.rmtree(self._folder / job, ignore_errors=True)
            raise
        return job

    def _written(self, job: str, number: int, photo: str | Upload) -> tuple[str, int, str, str, int]:
        """The row of a photo; an uploaded one is on disk then."""
        if isinstance(photo, str):
            return job, number, photo, "", 0
        path = self._upload(job, number)
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(photo.content)
        except OSError:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        return job, number, "", photo.name, len(photo.content)

    def _insert(
        self,
        job: str,
        rows: list[tuple[str, int, str, str, int]],
        options: dict[str, Any],
        webhook: str,
        owner: str,
        most_photos: int | None,
        most_bytes: int | None,
    ) -> None:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            count, waiting_bytes = self._database.execute(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM photos WHERE state IN ('queued', 'running')"
            ).fetchone()
            new_bytes = sum(row[-1] for row in rows)
            if most_photos is not None and count + len(rows) > most_photos:
                raise StoreFull
            if most_bytes is not None and new_bytes and waiting_bytes + new_bytes > most_bytes:
                raise StoreFull
            self._database.execute(
                "INSERT INTO jobs (id, owner, options, webhook, created) VALUES (?, ?, ?, ?, ?)",
                (job, owner, json.dumps(options), webhook, time.time()),
            )
            self._database.executemany(
                "INSERT INTO photos (job, number, url, name, bytes) VALUES (?, ?, ?, ?, ?)", rows
            )

    def describe(self, job: str, owner: str) -> dict[str, Any] | None:
        """A job for its owner, with its photos; None if the owner has no such job."""
        job_rows = self._rows("SELECT created FROM jobs WHERE id = ? AND owner = ?", job, owner)
        if not job_rows:
            return None
        rows = self._rows("SELECT number, url, state, error, name FROM photos WHERE job = ? ORDER BY number", job)
        photos: list[dict[str, Any]] = []
        for number, url, state, error, name in rows:
            photo = {"number": number, **({"url": url} if url else {"name": name}), "status": state}
            if state == "done":
                photo["result"] = f"/v1/jobs/{job}/photos/{number}"
            if error:
                photo["error"] = error
            photos.append(photo)
        counts = {state: sum(row[2] == state for row in rows) for state in ("queued", "running", "done", "failed")}
        status = "running" if counts["queued"] or counts["running"] else "done"
        return {"id": job, "status": status, "created": int(job_rows[0][0]), "counts": counts, "photos": photos}

    def result(self, job: str, number: int, owner: str) -> tuple[Path, str] | None:
        """(file, media type) of a finished photo; None if the owner has no such result."""
        rows = self._rows(
            "SELECT media_type FROM photos JOIN jobs ON jobs.id = photos.job "
            "WHERE job = ? AND number = ? AND owner = ? AND state = 'done'",
            job,
            number,
            owner,
        )
        return (self._file(job, number), rows[0][0]) if rows else None

    def claim(self, lease: float) -> PhotoTask | None:
        """The next photo, claimed for `lease` seconds; None if there is none."""
        now = time.time()
        rows = self._rows(
            "UPDATE photos SET state = 'running', lease = ?, claims = claims + 1 WHERE rowid = coalesce("
            "(SELECT rowid FROM photos WHERE state = 'running' AND lease < ? LIMIT 1), "
            "(SELECT rowid FROM photos WHERE state = 'queued' ORDER BY rowid LIMIT 1)) RETURNING job, number, url, claims",
            now + lease,
            now,
        )
        if not rows:
            return None
        job, number, url, claims = rows[0]
        (options,) = self._rows("SELECT options FROM jobs WHERE id = ?", job)[0]
        upload = None if url else self._upload(job, number)
        return PhotoTask(job=job, number=number, url=url, upload=upload, options=json.loads(options), claims=claims)

    def release(self, task: PhotoTask) -> None:
        """Queue a claimed photo again."""
        self._rows(
            "UPDATE photos SET state = 'queued' WHERE job = ? AND number = ? AND claims = ? AND state = 'running'",
            task.job,
            task.number,
            task.claims,
        )

    def finish(self, task: PhotoTask, content: bytes, media_type: str) -> None:
        """Store the result of a claimed photo, unless its job was deleted meanwhile."""
        path = self._file(task.job, task.number)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(path)
        self._end(task, "done", media_type=media_type)

    def fail(self, task: PhotoTask, error: str) -> None:
        """Store why a claimed photo failed."""
        self._end(task, "failed", error=error)

    def delete(self, job: str, owner: str) -> bool:
        """Delete a job with its results; False if the owner has no such job."""
        if not self._rows("DELETE FROM jobs WHERE id = ? AND owner = ? RETURNING id", job, owner):
            return False
        shutil.rmtree(self._folder / job, ignore_errors=True)
        return True

    def delete_older(self, seconds: float) -> None:
        """Delete jobs that were added longer ago."""
        for (job,) in self._rows("DELETE FROM jobs WHERE created < ? RETURNING id", time.time() - seconds):
            shutil.rmtree(self._folder / job, ignore_errors=True)

    def due_notice(self) -> Notice | None:
        """A finished job whose webhook is due; its next attempt is set an hour off until `noticed` says how it went."""
        now = time.time()
        rows = self._rows(
            "UPDATE jobs SET next_attempt = ? WHERE id = (SELECT id FROM jobs WHERE next_attempt <= ? LIMIT 1) "
            "RETURNING id, webhook, created, attempts",
            now + 3600,
            now,
        )
        if not rows:
            return None
        job, webhook, created, attempts = rows[0]
        return Notice(job=job, webhook=webhook, created=created, attempts=attempts)

    def noticed(self, notice: Notice, *, again_in: float | None) -> None:
        """Record an attempt. again_in: seconds to the next one, None after the last."""
        due = None if again_in is None else time.time() + again_in
        self._rows("UPDATE jobs SET attempts = attempts + 1, next_attempt = ? WHERE id = ?", due, notice.job)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def _end(self, task: PhotoTask, state: str, *, error: str = "", media_type: str = "") -> None:
        """Unless the lease ended and another server has claimed the photo since."""
        ended = self._rows(
            "UPDATE photos SET state = ?, error = ?, media_type = ? WHERE job = ? AND number = ? AND claims = ? "
            "RETURNING number",
            state,
            error,
            media_type,
            task.job,
            task.number,
            task.claims,
        )
        if not ended:
            return
        if task.upload is not None:
            task.upload.unlink(missing_ok=True)
        self._rows(
            "UPDATE jobs SET next_attempt = ? WHERE id = ? AND webhook != '' AND attempts = 0 AND NOT EXISTS "
            "(SELECT 1 FROM photos WHERE job = jobs.id AND state IN ('queued', 'running'))",
            time.time(),
            task.job,
        )

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _file(self, job: str, number: int) -> Path:
        return self._folder / job / str(number)

    def _upload(self, job: str, number: int) -> Path:
        return self._folder / job / f"{number}.upload"

    def _add_columns(self) -> None:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            there = {column[1] for column in self._database.execute("PRAGMA table_info(photos)")}
            for name, kind in _ADDED.items():
                if name not in there:
                    self._database.execute(f"ALTER TABLE photos ADD COLUMN {name} {kind}")

    def _delete_orphans(self) -> None:
        known = {job for (job,) in self._rows("SELECT id FROM jobs")}
        for folder in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another server deletes it
                old = folder.stat().st_mtime < time.time() - _ORPHAN_SECONDS
                if folder.is_dir() and folder.name not in known and old:
                    shutil.rmtree(folder, ignore_errors=True)
