"""Liquid as the reference runtime (liquidjs) renders it, on top of python-liquid.

Importing this package needs the extra ``liquid``; only mappings that use @liquid do.
"""

from destinations.segment.mapping.liquid.liquid_environment import (
    compile_liquid_pieces,
    compile_liquid_template,
    liquid_reads,
)
from destinations.segment.mapping.liquid.values import LiquidError

__all__ = ["LiquidError", "compile_liquid_pieces", "compile_liquid_template", "liquid_reads"]
