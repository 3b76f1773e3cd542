"""Checkpoints: what is written comes back, and what cannot be used is named."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dmm.checkpoint import FILE, PARTS, CheckpointError, build, load_parts, locate, read, save, system_of, write
from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.errors import InputError
from dmm.pipeline import CaptionError, load

SMALL = ModelConfig(
    widths=(4, 4, 4),
    noise_dim=4,
    condition_dim=6,
    text_dim=16,
    embedding_dim=8,
    encoder_width=4,
    encoder_size=32,
    caption_embedding=16,
    caption_hidden=8,
)
WORDS = ("a", "small", "red", "bird", "with", "black", "wings")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    vocab = Vocabulary(WORDS)
    write(path, {part: build(part, SMALL, vocab) for part in PARTS}, SMALL, vocab, {"steps": 3})
    return path


def test_what_is_written_comes_back(directory):
    pipe = load(directory)
    assert pipe.config == SMALL and pipe.vocab == Vocabulary(WORDS) and pipe.card == {"steps": 3} and pipe.name == directory.name
    half = load_file(directory / FILE)
    assert half["generator.conditioning.linear.weight"].dtype == torch.float16
    torch.testing.assert_close(pipe.generator.conditioning.linear.weight, half["generator.conditioning.linear.weight"].float())


def test_what_does_not_fit_into_one_file_goes_into_further_ones(directory, tmp_path):
    pipe = load(directory)
    save(pipe, tmp_path, "fp32", max_file_size=60_000)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("-")[0] for name in names] == ["captioner", "image_encoder", FILE, "text_encoder"]
    again = load(tmp_path)
    for part in PARTS:
        own, back = getattr(pipe, part).state_dict(), getattr(again, part).state_dict()
        assert own.keys() == back.keys() and all(torch.equal(own[key], back[key]) for key in own)
    (tmp_path / names[0]).write_bytes((tmp_path / names[0]).read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="captioner-.*is damaged; copy it again"):
        load(tmp_path)
    (tmp_path / names[0]).unlink()
    with pytest.raises(CheckpointError, match="captioner-.*is missing; copy it beside"):
        load(tmp_path)


@pytest.mark.parametrize("further", [["../captioner.safetensors"], "captioner", [3], ["captioner-" + "0" * 64 + ".safetensors"] * 9])
def test_further_files_are_only_those_that_are_written(directory, tmp_path, further):
    with safe_open(directory / FILE, framework="pt") as file:
        metadata = dict(file.metadata(), further=json.dumps(further))
    del metadata["digest"]
    save_file(load_file(directory / FILE), tmp_path / FILE, metadata)
    with pytest.raises(CheckpointError, match="further files"):
        load(tmp_path)


def test_equal_tensors_are_stored_once_and_come_back_twice(tmp_path):
    vocab = Vocabulary(WORDS)
    networks = {part: build(part, SMALL, vocab) for part in ("image_encoder", "captioner")}
    networks["captioner"].encoder.load_state_dict(networks["image_encoder"].state_dict())
    write(tmp_path, networks, SMALL, vocab, {})
    stored = load_file(tmp_path / FILE)
    assert "image_encoder.code.weight" in stored and "captioner.encoder.code.weight" not in stored
    parts, _, _ = load_parts(tmp_path, ("image_encoder", "captioner"))
    for key, value in networks["captioner"].encoder.state_dict().items():
        torch.testing.assert_close(
            parts["captioner"].encoder.state_dict()[key], value.half().float() if value.is_floating_point() else value
        )
    with torch.no_grad():
        parts["image_encoder"].code.weight.zero_()
    assert parts["captioner"].encoder.code.weight.abs().sum() > 0  # equal on disk, two networks in memory


@pytest.mark.parametrize("same", ['{"a": ["b"]}', '["a"]', "3", "{"])
def test_a_false_note_of_equal_tensors_is_refused(directory, tmp_path, same):
    with safe_open(directory / FILE, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    metadata = {key: value for key, value in metadata.items() if key != "digest"} | {"same": same}
    save_file(tensors, tmp_path / FILE, metadata)
    with pytest.raises(CheckpointError, match="metadata do not describe"):
        read(tmp_path)


def test_a_batch_equals_one_at_a_time(directory):
    pipe = load(directory)
    captions = ["a small red bird", "a bird with black wings and a small red bird", "bird"]
    together = pipe(captions, seed=[3, 4, 5])
    for index, caption in enumerate(captions):
        alone = pipe(caption, seed=3 + index)
        for stage, one in zip(together.stages, alone.stages, strict=True):
            torch.testing.assert_close(stage.image[index], one.image[0], rtol=0, atol=1e-5)
            assert stage.image.shape[-1] == one.size


def test_a_fused_pipeline_generates_the_same_and_is_not_saved(directory, tmp_path):
    pipe = load(directory)
    fused = pipe.fused()
    own, theirs = fused("a small red bird", seed=3), pipe("a small red bird", seed=3)
    for one, other in zip(own.images, theirs.images, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    assert fused.fused() is fused and not pipe.is_fused and own.stages[0].redescription == theirs.stages[0].redescription
    with pytest.raises(ValueError, match="generates only"):
        save(fused, tmp_path)
    save(pipe, tmp_path)
    assert torch.equal(load(tmp_path)("a small red bird", seed=3).images[2], theirs.images[2])


def test_same_caption_and_seed_same_picture_other_seed_other_picture(directory):
    pipe = load(directory)
    first, second, third = pipe("a red bird", seed=3), pipe("a red bird", seed=3), pipe("a red bird", seed=4)
    assert torch.equal(first.stages[2].image, second.stages[2].image)
    assert not torch.equal(first.stages[2].image, third.stages[2].image)
    assert first.words[0] == ["<start>", "a", "red", "bird", "<end>"] and first.mask[0].tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("caption", ["", "  ", "zebra xylophone", "!!!"])
def test_captions_that_cannot_be_generated_are_refused_kindly(directory, caption):
    with pytest.raises(CaptionError, match="Try:"):
        load(directory)(caption)


def test_a_caption_that_is_too_long_is_refused(directory):
    with pytest.raises(CaptionError, match="at most 60"):
        load(directory)("red " * 61)


def test_as_many_seeds_as_captions(directory):
    with pytest.raises(ValueError, match="expected one number or 2"):
        load(directory)(["a bird", "a red bird"], seed=[1])


def test_a_seed_may_be_of_any_type_of_whole_numbers(directory):
    pipe = load(directory)
    own = pipe("a red bird", seed=3)
    for seed in (np.int64(3), np.uint8(3), torch.tensor(3), [np.int64(3)], np.array([3]), torch.tensor([3])):
        other = pipe("a red bird", seed=seed)
        assert other.seeds == [3] and type(other.seeds[0]) is int and torch.equal(own.images[-1], other.images[-1])
    for seed in (3.0, [3.5], "3", None):
        with pytest.raises(InputError, match="seed: expected whole numbers, found"):
            pipe("a red bird", seed=seed)


def test_no_captions_are_refused_in_words(directory):
    with pytest.raises(InputError, match="captions: expected at least one sentence, found an empty list"):
        load(directory)([])


@pytest.mark.parametrize(("cast", "tolerance"), [("half", 0.02), ("bfloat16", 0.1), ("double", 1e-4)])
def test_a_pipeline_of_another_precision_generates_the_same_up_to_it(cast, tolerance, directory):
    own, other = load(directory)("a red bird", seed=3), getattr(load(directory), cast)()("a red bird", seed=3)
    assert other.images[-1].dtype == getattr(torch, cast if cast != "half" else "float16")
    assert (own.images[-1] - other.images[-1].float()).abs().max() < tolerance


def test_a_missing_checkpoint_names_the_shipped_ones(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        locate(tmp_path / "nothing")


def test_the_system_is_read_from_the_header_alone(directory, tmp_path):
    assert system_of(directory) == read(directory)[1].system
    (tmp_path / FILE).write_bytes(b"no header")
    assert system_of(tmp_path) == ""
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        system_of(tmp_path / "nothing")


def test_missing_unknown_and_mismatched_keys_are_named(directory, tmp_path):
    tensors, _, _, _ = read(directory)
    del tensors["generator.heads.0.conv.weight"]
    tensors["generator.extra"] = torch.zeros(1)
    tensors["generator.heads.1.conv.weight"] = torch.zeros(3, 5, 3, 3)
    with safe_open(directory / FILE, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, tmp_path / FILE, metadata)
    with pytest.raises(CheckpointError, match="missing heads.0.conv.weight; unknown extra; shape mismatch heads.1.conv.weight"):
        load(tmp_path)


def test_a_part_that_is_not_held_is_named(directory):
    with pytest.raises(CheckpointError, match="expected cloze, found"):
        load_parts(directory, ("cloze",))


def test_foreign_files_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / FILE, {"format": "other"})
    with pytest.raises(CheckpointError, match="expected a checkpoint of format"):
        read(tmp_path)
    os.unlink(tmp_path / FILE)
    save_file({"x": torch.zeros(1)}, tmp_path / FILE, {"format": "dmm-gan-explorer/1", "config": json.dumps({"widths": [1], "colour": 3})})
    with pytest.raises(CheckpointError, match="unknown key 'colour'"):
        read(tmp_path)


def cut_or_overwritten(whole: bytes, rng: random.Random) -> bytes:
    """A copy that is cut, overwritten in up to four places (mostly in the header), or both."""
    damaged = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.2 else whole)
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(header if rng.random() < 0.8 else len(whole))
        if place < len(damaged):
            damaged[place] = rng.choice([rng.randrange(256), ord(rng.choice('0123456789"{}[],:aeF'))])
    return bytes(damaged)


@pytest.mark.parametrize("round", range(4))
def test_damaged_files_give_one_error_or_changed_values(directory, tmp_path, round):
    whole, rng, same = (directory / FILE).read_bytes(), random.Random(round), load(directory)
    refused = 0
    for _ in range(100):
        (tmp_path / FILE).write_bytes(cut_or_overwritten(whole, rng))
        try:
            found = load(tmp_path)
        except CheckpointError as error:
            assert str(tmp_path) in str(error) and "\n" not in str(error)
            refused += 1
            continue
        assert (found.config, found.vocab, found.card) == (same.config, same.vocab, same.card)
        assert [(k, v.shape) for k, v in found.state_dict().items()] == [(k, v.shape) for k, v in same.state_dict().items()]
    assert refused > 40 and list(tmp_path.iterdir()) == [tmp_path / FILE]


def test_any_change_of_the_metadata_is_noticed(directory, tmp_path):
    whole = (directory / FILE).read_bytes()
    for before, after in (
        (b"small", b"smell"),
        (b'\\"steps\\": 3', b'\\"steps\\": 4'),
        (b"residuals", b"residuelz"),
        (b'"digest"', b'"dibest"'),
    ):
        assert whole.count(before) >= 1 and len(before) == len(after)
        (tmp_path / FILE).write_bytes(whole.replace(before, after, 1))
        with pytest.raises(CheckpointError):
            load(tmp_path)


def test_files_from_before_the_digest_are_still_read(directory, tmp_path):
    with safe_open(directory / FILE, "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "digest"}
    save_file(load_file(directory / FILE), tmp_path / FILE, metadata)
    assert load(tmp_path).config == SMALL
    save_file(
        load_file(directory / FILE), tmp_path / FILE, metadata | {"config": metadata["config"].replace('"noise_dim": 4', '"noise_dim": 9')}
    )
    with pytest.raises(CheckpointError, match="shape mismatch initial.linear.weight"):
        load(tmp_path)
    save_file(
        load_file(directory / FILE),
        tmp_path / FILE,
        metadata | {"config": metadata["config"].replace('"encoder_size": 32', '"encoder_size": 33')},
    )
    with pytest.raises(CheckpointError, match="does not describe the image_encoder"):
        load(tmp_path)


def test_weights_of_another_kind_are_named(directory, tmp_path):
    tensors = load_file(directory / FILE)
    with safe_open(directory / FILE, "pt") as file:
        metadata = file.metadata()
    save_file(
        tensors | {"generator.heads.0.conv.weight": tensors["generator.heads.0.conv.weight"].to(torch.int16)}, tmp_path / FILE, metadata
    )
    with pytest.raises(CheckpointError, match="of another kind heads.0.conv.weight torch.int16 instead of torch.float32"):
        load(tmp_path)


def test_networks_are_loaded_and_listed_without_the_compiler():
    """Networks are first built for their shapes, on the device "meta", where arithmetic makes PyTorch import its compiler for seconds."""
    lines = [
        "import sys",
        "from dmm.cli import app",
        "from dmm.pipeline import load",
        "from dmm.report.subjects import reading",
        "load('dmmgan-aviary')",
        "app(['list'], standalone_mode=False)",
        "reading('dfgan-aviary')",
        "print('torch._dynamo' in sys.modules)",
    ]
    found = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "False"
