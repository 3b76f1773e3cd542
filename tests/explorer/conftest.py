"""Fixtures of the explorer's tests."""

from __future__ import annotations

import pytest

from dmm.trace import Trace
from tests.explorer.handmade import CountingPipeline, make_trace


@pytest.fixture
def trace() -> Trace:
    """The hand-made trace."""
    return make_trace()


@pytest.fixture
def counting() -> CountingPipeline:
    """A stand-in pipeline that counts its calls."""
    return CountingPipeline()
