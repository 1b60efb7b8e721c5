"""Delivers what a queue holds, without an end: nothing lost, nothing sent twice by mistake."""

from destinations.engine.engine import Engine, EngineOptions
from destinations.engine.planning import plan
from destinations.engine.watcher import NullWatcher, Point, Watcher

__all__ = ["Engine", "EngineOptions", "NullWatcher", "Point", "Watcher", "plan"]
