from .operators import Operator
from .pages.query import Parameter, Query, link
from .pages.visit import Answered, ConsolePage, PageError, Redirected, Shown, Visit, chosen

__all__ = [
    "Answered",
    "ConsolePage",
    "Operator",
    "PageError",
    "Parameter",
    "Query",
    "Redirected",
    "Shown",
    "Visit",
    "chosen",
    "link",
]
