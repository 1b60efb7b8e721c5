"""What can be seen of a running server: metrics, logs without secrets, and traces.

`observe` puts all of it together::

    observation = observe(secrets)
    service = Service(..., metrics=observation.metrics, watcher=observation.watcher)
    # for each queue that is opened, also after a reload:
    observation.follow(name, store.path, lambda: queue.length, actions)
    # afterwards: what is followed, and what waits for nobody
    observation.keep(names, store.path, strays)
    observation.close()
"""

from destinations.observability.log_lines import Form, Level, LogLines
from destinations.observability.logs import Logs, subject_of
from destinations.observability.masks import Masks
from destinations.observability.metrics import CONTENT_TYPE, Metrics
from destinations.observability.observation import Observation, check_tracing, observe
from destinations.observability.queue_figures import QueueFigures, QueueProbe
from destinations.observability.tracing import Tracing, open_tracing
from destinations.observability.watchers import Watchers

__all__ = [
    "CONTENT_TYPE",
    "Form",
    "Level",
    "LogLines",
    "Logs",
    "Masks",
    "Metrics",
    "Observation",
    "QueueFigures",
    "QueueProbe",
    "Tracing",
    "Watchers",
    "check_tracing",
    "observe",
    "open_tracing",
    "subject_of",
]
