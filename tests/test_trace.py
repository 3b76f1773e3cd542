"""Traces: what is saved is what is loaded, bit for bit; a sample taken out is the sample that went in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmm.trace import StageTrace, Trace, TraceError

STAGE_TENSORS = [f.name for f in dataclasses.fields(StageTrace) if f.name not in ("redescription", "affines")]
TRACE_TENSORS = ["code", "mean", "logvar", "mask"]
DTYPES = [torch.float32, torch.float16, torch.float64, torch.int64, torch.uint8, torch.bool]


def tensor(batch: int, seed: int, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(batch, 2, 3, generator=generator) * 50
    return values > 0 if dtype == torch.bool else values.abs().to(dtype) if dtype == torch.uint8 else values.to(dtype)


@st.composite
def traces(draw):
    """Any trace: any number of stages, any fields left out, any dtype."""
    batch = draw(st.integers(1, 4))
    seeds = st.integers(0, 2**31)
    words = st.text(max_size=6)
    texts = st.one_of(st.none(), st.lists(st.text(max_size=20), min_size=batch, max_size=batch))

    def tensors(names):
        chosen = draw(st.sets(st.sampled_from(names)))
        return {name: tensor(batch, draw(seeds), draw(st.sampled_from(DTYPES))) for name in sorted(chosen)}

    def stage():
        lists = st.lists(st.tuples(seeds, st.sampled_from(DTYPES)).map(lambda drawn: tensor(batch, *drawn)), max_size=3)
        return StageTrace(**tensors(STAGE_TENSORS), redescription=draw(texts), affines=draw(st.one_of(st.none(), lists)))

    stages = [stage() for _ in range(draw(st.integers(0, 3)))]
    return Trace(
        stages=stages,
        **tensors(TRACE_TENSORS),
        captions=draw(texts),
        words=draw(st.one_of(st.none(), st.lists(st.lists(words, max_size=5), min_size=batch, max_size=batch))),
        seeds=draw(st.one_of(st.none(), st.lists(seeds, min_size=batch, max_size=batch))),
    )


def records(trace: Trace) -> list:
    return [trace, *trace.stages]


def assert_equal(one: Trace, other: Trace) -> None:
    """Equal in every field: tensors bit for bit and of one dtype, texts exactly, what is missing missing in both."""
    assert len(one.stages) == len(other.stages)
    for a, b in zip(records(one), records(other), strict=True):
        for f in dataclasses.fields(a):
            x, y = getattr(a, f.name), getattr(b, f.name)
            if isinstance(x, torch.Tensor):
                assert x.dtype == y.dtype and torch.equal(x, y), f.name
            elif f.name == "affines" and x is not None:
                assert len(x) == len(y) and all(p.dtype == q.dtype and torch.equal(p, q) for p, q in zip(x, y, strict=True))
            elif f.name != "stages":
                assert x == y, f.name


@given(traces())
def test_saved_and_loaded_is_bit_equal(tmp_path_factory, trace):
    path = tmp_path_factory.mktemp("trace") / "trace.npz"
    trace.save(path)
    assert_equal(Trace.load(path, strict=False), trace)
    assert [p.name for p in path.parent.iterdir()] == ["trace.npz"], "no partial file stays"


@given(traces())
def test_selecting_each_sample_gives_the_batch_back(trace):
    values = [getattr(r, f.name) for r in records(trace) for f in dataclasses.fields(r) if f.name not in ("stages", "affines")]
    values += [item for stage in trace.stages for item in stage.affines or []]
    batch = next((len(value) for value in values if value is not None), 0)
    for sample in range(-1, batch):
        one = trace.select(sample)
        for a, b in zip(records(trace), records(one), strict=True):
            for f in dataclasses.fields(a):
                x, y = getattr(a, f.name), getattr(b, f.name)
                if f.name == "stages" or x is None:
                    continue
                if f.name == "affines":
                    assert len(x) == len(y) and all(torch.equal(p[sample], q[0]) for p, q in zip(x, y, strict=True))
                    continue
                assert len(y) == 1, f.name
                assert torch.equal(x[sample], y[0]) if isinstance(x, torch.Tensor) else x[sample] == y[0], f.name


@given(traces())
def test_selecting_leaves_the_batch_as_it_was(trace):
    before = dataclasses.replace(trace, stages=[dataclasses.replace(s) for s in trace.stages])
    trace.select(0)
    assert_equal(trace, before)


def test_negative_zero_and_not_a_number_survive(tmp_path):
    values = torch.tensor([[0.0, -0.0, float("inf"), -float("inf"), float("nan")]])
    Trace(code=values).save(tmp_path / "a.npz")
    assert Trace.load(tmp_path / "a.npz", strict=False).code.numpy().tobytes() == values.numpy().tobytes()


def test_sizes_and_images():
    trace = Trace(stages=[StageTrace(image=torch.zeros(1, 3, s, s)) for s in (64, 128, 256)] + [StageTrace()])
    assert [stage.size for stage in trace.stages] == [64, 128, 256, None]
    assert [image.shape[-1] for image in trace.images] == [64, 128, 256]


def test_to_converts_every_tensor_and_nothing_else():
    stage = StageTrace(image=torch.rand(2, 3, 4, 4), redescription=["a", "b"])
    trace = Trace(stages=[stage], code=torch.rand(2, 5), captions=["x", "y"], seeds=[1, 2])
    half = trace.to(torch.float64)
    assert half.code.dtype == half.stages[0].image.dtype == torch.float64
    assert torch.equal(half.code.float(), trace.code)
    assert (half.captions, half.seeds, half.stages[0].redescription) == (["x", "y"], [1, 2], ["a", "b"])
    assert trace.code.dtype == torch.float32, "the original stays"


def test_detach_cuts_the_graph_and_shares_the_numbers():
    code = torch.rand(1, 4, requires_grad=True)
    trace = Trace(stages=[StageTrace(image=code * 2)], code=code * 3)
    cut = trace.detach()
    assert not cut.code.requires_grad and not cut.stages[0].image.requires_grad
    assert trace.code.requires_grad
    assert cut.code.data_ptr() == trace.code.data_ptr()


def test_a_trace_with_a_graph_can_be_saved(tmp_path):
    trace = Trace(code=torch.rand(1, 4, requires_grad=True) * 2)
    trace.save(tmp_path / "a.npz")
    assert_equal(Trace.load(tmp_path / "a.npz", strict=False), trace.detach())


def test_a_pickle_in_the_file_is_refused(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, json=np.frombuffer(b'{"stages": 0}', dtype=np.uint8), code=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Trace.load(path)


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    Trace(code=torch.ones(1)).save(path)
    with monkeypatch.context() as patch:
        patch.setattr("dmm.trace.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            Trace(code=torch.zeros(1)).save(path)
    assert Trace.load(path, strict=False).code.item() == 1


def test_a_list_of_tensors_keeps_its_order_its_graph_and_its_absence(tmp_path):
    many = [torch.full((2, 2, 3), float(i), requires_grad=True) for i in range(12)]  # more than ten: 10 follows 9, not 1
    trace = Trace(stages=[StageTrace(affines=many), StageTrace()])
    trace.save(tmp_path / "a.npz")
    loaded = Trace.load(tmp_path / "a.npz")
    assert [item.flatten()[0].item() for item in loaded.stages[0].affines] == list(range(12))
    assert loaded.stages[1].affines is None
    assert not any(item.requires_grad for item in trace.detach().stages[0].affines) and many[0].requires_grad
    assert all(item.dtype == torch.float64 for item in trace.to(torch.float64).stages[0].affines)
    assert [item.shape for item in trace.select(1).stages[0].affines] == [(1, 2, 3)] * 12


def test_damaged_files_are_named_as_such_or_differ_in_values_only(tmp_path):
    trace = Trace(stages=[StageTrace(image=torch.randn(1, 3, 4, 4), redescription=["a bird"])], code=torch.randn(1, 3), seeds=[3])
    path = tmp_path / "a.npz"
    trace.save(path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(250):
        data = bytearray(whole)
        if rng.random() < 0.3:
            data = data[: rng.integers(0, len(data))]
        for _ in range(rng.integers(1, 6)):
            if data:
                data[rng.integers(0, len(data))] = rng.integers(0, 256)
        path.write_bytes(bytes(data))
        try:
            assert isinstance(Trace.load(path, strict=False), Trace)
        except TraceError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 100


def test_a_missing_file_and_foreign_archives_are_refused(tmp_path):
    with pytest.raises(TraceError, match="gone.npz"):
        Trace.load(tmp_path / "gone.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(TraceError, match="other.npz"):
        Trace.load(tmp_path / "other.npz")
    np.savez(tmp_path / "field.npz", json=np.frombuffer(b'{"stages": 0, "gate": 1}', dtype=np.uint8))
    with pytest.raises(TraceError, match="unknown field 'gate'"):
        Trace.load(tmp_path / "field.npz")


def test_what_must_be_there_is_given_or_named():
    trace = Trace(stages=[StageTrace(image=torch.ones(2, 3, 4, 4))], captions=["a", "b"], words=[["a"], ["b"]], seeds=[3, 4])
    assert (trace.caption(), trace.caption(1), trace.tokens(1), trace.seed(1)) == ("a", "b", ["b"], 4)
    assert trace.stages[0].quantity("image") is trace.stages[0].image
    with pytest.raises(TraceError, match="no response gate"):
        trace.stages[0].quantity("response_gate")
    for ask, name in ((Trace.caption, "captions"), (Trace.tokens, "words"), (Trace.seed, "seeds")):
        with pytest.raises(TraceError, match=f"no {name}: expected one that a pipeline made"):
            ask(Trace())
