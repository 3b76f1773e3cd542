"""What a system reaches, measured by networks and parsers that stand beside it: ``evaluate(pipe)``."""

from dmm.metrics import (  # noqa: F401 - each registers its metric
    attributes,
    caption_scores,
    claims,
    diversity,
    fid,
    inception_score,
    independent,
    kid,
    marks,
    memory_metric,
    overlap,
    r_precision,
)
from dmm.metrics.evaluation import METRICS, evaluate
from dmm.metrics.registry import list_metrics

__all__ = ["METRICS", "evaluate", "list_metrics"]
