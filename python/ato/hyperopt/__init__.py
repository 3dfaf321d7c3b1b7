"""Searching for a good config: grids, successive halving, Hyperband and ASHA.

`hyperband.HyperBand` is the search, `base.HyperOpt` what a search of one's own derives from.
"""

from ato.hyperopt.hyperband import HyperBand

__all__ = ["HyperBand"]
