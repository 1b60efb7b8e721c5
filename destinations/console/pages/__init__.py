"""The pages of the console: what the store says, what a template shows of it, and what it changes.

A page is a function from a `Visit` to what is answered. It knows nothing of HTTP but that: the
process, its security and its routes are in `destinations.console`.
"""

from destinations.console.pages.serving import error_page, login_page, routes

__all__ = ["error_page", "login_page", "routes"]
