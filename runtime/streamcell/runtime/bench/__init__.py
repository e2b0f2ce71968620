"""What a model costs on this machine: latency, throughput, streams, memory. See `measure`."""

from streamcell.runtime.bench.measuring import PARTS, measure
from streamcell.runtime.bench.report import Report
from streamcell.runtime.bench.text import table

__all__ = ["PARTS", "Report", "measure", "table"]
