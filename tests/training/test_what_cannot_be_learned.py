"""Settings and data that nothing can be learned from are refused before anything is trained."""

from __future__ import annotations

import json

import pytest

from dmm.config import ConfigError
from dmm.data.prepared import prepare
from dmm.data.sources import open_source
from dmm.training.adversarial import GanStep
from dmm.training.steps import MatchStep
from tests.data import layouts


@pytest.mark.parametrize("changes", [{"batch": 1}, {"batch": 4, "accumulate": 4}, {"initial_batch": 1}])
def test_a_micro_batch_of_one_caption(toy, earlier_runs, changes):
    with pytest.raises(ConfigError, match="train.(initial_)?batch: expected at least two captions in each"):
        GanStep(toy("gan", **changes), *earlier_runs)


def test_sizes_that_the_system_does_not_train(toy, earlier_runs):
    with pytest.raises(ConfigError, match=r"data.sizes: dmmgan is trained on pictures of \[64, 128, 256\] px, found \[64\]"):
        GanStep(toy("gan", sizes="64"), *earlier_runs)


def test_matching_with_batches_of_one(toy):
    with pytest.raises(ConfigError, match="train.batch: matching"):
        MatchStep(toy("match", batch=1))


def test_matching_with_micro_batches_of_one(toy):
    with pytest.raises(ConfigError, match=r"train.batch: .* at least 2 in each of 4 micro-batches \(train.accumulate\), found 4"):
        MatchStep(toy("match", batch=4, accumulate=4))


@pytest.mark.parametrize(("count", "said"), [(1, "one picture"), (3, "3 pictures of one class")])
def test_matching_with_one_class(toy, tmp_path, count, said):
    layouts.folder(tmp_path, count)
    rows = [{"file_name": f"{k}.png", "text": f"a red bird number {k}", "label": 0} for k in range(count)]
    layouts.write(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    prepare(open_source(tmp_path), sizes=(64, 128, 256), progress=False)
    with pytest.raises(ConfigError, match=f"found {said} to train on"):
        MatchStep(toy("match", source=str(tmp_path), cloze=0, recall=0, part_colours=0))
