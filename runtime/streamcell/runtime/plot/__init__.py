"""Signals, probabilities and segments of a file under one time axis: `gather` collects them, `picture.draw` draws them.

Only `picture` needs matplotlib.
"""

from streamcell.runtime.plot.gather import gather
from streamcell.runtime.plot.scene import Panel, Scene

__all__ = ["Panel", "Scene", "gather"]
