from .browser import Browser
from .build import page_files, render_page, stale_files, write_files
from .calls import Call, SampleError, read_calls
from .facts import sample_events
from .flavour import FLAVOURS, PUBLISHED, SUBMISSION, Flavour
from .html import preview_html
from .markdown import Page, read_page
from .payloads import Runtime, SampleResult

__all__ = [
    "FLAVOURS",
    "PUBLISHED",
    "SUBMISSION",
    "Browser",
    "Call",
    "Flavour",
    "Page",
    "Runtime",
    "SampleError",
    "SampleResult",
    "page_files",
    "preview_html",
    "read_calls",
    "read_page",
    "render_page",
    "sample_events",
    "stale_files",
    "write_files",
]
