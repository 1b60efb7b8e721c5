"""What outlives a run: a SQLite file for all destinations of one machine."""

from destinations.store.database import Store, default_path
from destinations.store.kept import Kept, KeptEvents

__all__ = ["Kept", "KeptEvents", "Store", "default_path"]
