"""Every table of results, from the records that ``dmm evaluate`` and ``dmm bench`` wrote: ``dmm report``."""

from dmm.report.records import read_results
from dmm.report.render import FORMATS, render
from dmm.report.tables import document

__all__ = ["FORMATS", "document", "read_results", "render"]
