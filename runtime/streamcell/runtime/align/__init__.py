"""Forced alignment: when each phone of a known text was said, and how well."""

from streamcell.runtime.align.aligner import Aligned, AlignedPhone, AlignedWord, align_file
from streamcell.runtime.align.script import Script

__all__ = ["Aligned", "AlignedPhone", "AlignedWord", "Script", "align_file"]
