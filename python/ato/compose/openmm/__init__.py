"""OpenMMLab's config files: a file says what differs from its bases, `.py` files by being executed."""

from __future__ import annotations

from ato.compose.openmm.layers import Layer
from ato.compose.openmm.loading import load

__all__ = ["Layer", "load"]
