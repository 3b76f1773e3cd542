"""What a system reaches, measured by networks and parsers that stand beside it: ``evaluate(pipe)``."""

from dmm.metrics import attributes, caption_scores, claims, diversity, fid, marks, memory_metric, r_precision  # noqa: F401 - each registers its metric
from dmm.metrics.evaluation import METRICS, evaluate
from dmm.metrics.registry import list_metrics

__all__ = ["METRICS", "evaluate", "list_metrics"]
