"""Export definitions to Segment's repository of action destinations."""

from destinations.lazy import names_of_stub

# The importer reads what an export says of fields, without the extra that its tests need.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
