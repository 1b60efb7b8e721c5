"""The documentation page of a destination, made from its definition: Markdown, samples, preview."""

from destinations.partner_page.browser import Browser
from destinations.partner_page.build import page_files, render_page, stale_files, write_files
from destinations.partner_page.calls import Call, SampleError, read_calls
from destinations.partner_page.flavour import FLAVOURS, PUBLISHED, SUBMISSION, Flavour
from destinations.partner_page.html import preview_html
from destinations.partner_page.markdown import Page, read_page
from destinations.partner_page.payloads import Runtime, SampleResult

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
    "stale_files",
    "write_files",
]
