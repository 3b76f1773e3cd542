"""Inception scores that are known."""

import math

import pytest
import torch

from dmm.metrics.inception_score import inception_score, over_parts


def test_one_hot_answers_equally_often_score_the_number_of_classes():
    assert inception_score(torch.eye(5).repeat(3, 1)) == pytest.approx(5)


def test_answers_that_do_not_depend_on_the_picture_score_one():
    assert inception_score(torch.tensor([[0.7, 0.2, 0.1]]).expand(9, 3)) == pytest.approx(1)
    assert inception_score(torch.tensor([[0.0, 1.0]]).expand(4, 2)) == pytest.approx(1)


def test_two_answers_by_hand():
    p = 0.9
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    assert inception_score(torch.tensor([[p, 1 - p], [1 - p, p]])) == pytest.approx(math.exp(math.log(2) - entropy))


def test_parts_and_several_classifiers():
    found = over_parts({"a": torch.eye(4).repeat(10, 1), "b": torch.full((40, 2), 0.5)})
    assert found == {"mean": pytest.approx(2.5), "std": pytest.approx(0, abs=1e-9), "interval_95": pytest.approx([2.5, 2.5])}


@pytest.mark.parametrize("wrong", [torch.zeros(0, 3), torch.ones(3), torch.tensor([[2.0, 3.0]]), torch.tensor([[1.5, -0.5]])])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        inception_score(wrong)
