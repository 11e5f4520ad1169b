"""Where liftout keeps what it fetched and learned.

LIFTOUT_HOME/
  models/<name>/      downloaded files of a model, as published
  packs/<pack>/       packs, converted here or fetched
  catalog/<name>.toml models that the user added
  state/              consents, agreement records, stamps of verified files
"""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The cache folder: `LIFTOUT_HOME`, or the platform's own place for caches. It need not exist yet."""
    chosen = os.environ.get("LIFTOUT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("liftout", appauthor=False)
