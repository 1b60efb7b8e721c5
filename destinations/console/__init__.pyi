from .operators import Operator
from .pages.query import Query, link
from .pages.visit import Answered, ConsolePage, PageError, Redirected, Shown, Visit

__all__ = [
    "Answered",
    "ConsolePage",
    "Operator",
    "PageError",
    "Query",
    "Redirected",
    "Shown",
    "Visit",
    "link",
]
