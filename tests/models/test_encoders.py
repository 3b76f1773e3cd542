"""The networks that read: text encoder, image encoder, captioner, masked-word head."""

from __future__ import annotations

import pytest
import torch

from dmm.data.vocab import Vocabulary
from dmm.models.captioner import VIEWS, CaptionDecoder, Captioner
from dmm.models.cloze import ClozeHead
from dmm.models.image_encoder import SmallImageEncoder, resize
from dmm.models.text_encoder import TextEncoder


@torch.no_grad()
def test_captions_need_no_order_and_padding_does_not_count():
    torch.manual_seed(0)
    encoder = TextEncoder(20, 6, 8).eval()
    captions, lengths = torch.randint(3, 20, (4, 9)), torch.tensor([3, 7, 1, 5])
    words, sentence = encoder(captions, lengths)
    assert words.shape == (4, 8, 7) and sentence.shape == (4, 8)
    for b, length in enumerate(lengths.tolist()):
        alone, whole = encoder(captions[b : b + 1, :length], lengths[b : b + 1])
        torch.testing.assert_close(words[b : b + 1, :, :length], alone)
        torch.testing.assert_close(sentence[b : b + 1], whole)
        assert words[b, :, length:].abs().sum() == 0
        torch.testing.assert_close(sentence[b], torch.cat((words[b, :4, length - 1], words[b, 4:, 0])))


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="even"):
        TextEncoder(10, width=7)


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("picture", [64, 96, 256])
def test_regions_and_code_from_any_picture(size, picture):
    regions, code = SmallImageEncoder(4, 6, size).eval()(torch.randn(2, 3, picture, picture))
    assert regions.shape == (2, 6, 8, 8) and code.shape == (2, 6)


def test_shrinking_averages_and_growing_keeps_a_flat_picture_flat():
    picture = torch.arange(16.0).view(1, 1, 4, 4)
    torch.testing.assert_close(resize(picture, 2)[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))
    assert resize(picture, 4) is picture
    assert (resize(torch.full((1, 3, 6, 6), 0.5), 4) - 0.5).abs().max() < 1e-6
    assert (resize(torch.full((1, 3, 4, 4), 0.5), 8) - 0.5).abs().max() < 1e-6
    with pytest.raises(ValueError, match="100"):
        SmallImageEncoder(input_size=100)


@torch.no_grad()
def test_the_code_knows_where_a_colour_is():
    torch.manual_seed(0)
    encoder = SmallImageEncoder(4, 6).eval()
    picture = torch.full((1, 3, 64, 64), -1.0)
    picture[:, :, :16, :16] = 1
    _, code = encoder(torch.cat((picture, picture.flip(3))))
    assert (code[0] - code[1]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("heads", [0, 3])
def test_greedy_words_are_the_likeliest_under_teacher_forcing(heads):
    torch.manual_seed(0)
    decoder = CaptionDecoder(12, 5, 7, layers=2, heads=heads)
    features, regions = torch.randn(3, 5), torch.randn(3, 5, 8, 8)
    ids = decoder.greedy(features, 6, regions)
    logits = decoder(features, ids, torch.tensor([6, 4, 2]), regions)
    assert logits.shape == (3, 6, 12)
    assert torch.equal(logits.argmax(2), ids)


def test_a_decoder_that_attends_sees_the_regions_at_every_word_and_knows_their_places():
    torch.manual_seed(0)
    decoder = CaptionDecoder(12, 5, 7, heads=2)
    features, captions, lengths = torch.randn(2, 5), torch.randint(12, (2, 6)), torch.tensor([6, 6])
    regions = torch.randn(2, 5, 8, 8, requires_grad=True)
    logits = decoder(features, captions, lengths, regions)
    for word in range(6):
        (gradient,) = torch.autograd.grad(logits[0, word].square().sum(), regions, retain_graph=True)
        assert gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0
    assert (decoder(features, captions, lengths, regions.flip(3)) - logits).abs().max() > 1e-4
    views, where = decoder.attention.read(regions)
    assert views.shape == (2, VIEWS, 64) and where.shape == (2, VIEWS, 64)
    torch.testing.assert_close(where.sum(2), torch.ones(2, VIEWS))
    keys, values = decoder.attention.entries(views)
    scores = decoder.attention.scores(torch.randn(2, 6, 7 + 5), keys)
    assert scores.shape == (2, 2, 6, VIEWS) and values.shape == (2, 2, VIEWS, 64)


def test_a_decoder_that_attends_needs_8x8_regions():
    decoder = CaptionDecoder(12, 5, 7, heads=1)
    captions, lengths = torch.zeros(1, 2, dtype=torch.long), torch.tensor([2])
    with pytest.raises(ValueError, match="with regions"):
        decoder(torch.randn(1, 5), captions, lengths)
    with pytest.raises(ValueError, match="expected 8x8 regions, found 17x17"):
        decoder(torch.randn(1, 5), captions, lengths, torch.randn(1, 5, 17, 17))


@torch.no_grad()
def test_the_published_decoder_has_no_attention_and_sees_no_regions():
    torch.manual_seed(0)
    decoder = CaptionDecoder(12, 5, 7)
    assert {key.split(".")[0] for key in decoder.state_dict()} == {"embedding", "lstm", "linear"}
    features, captions, lengths = torch.randn(2, 5), torch.randint(12, (2, 6)), torch.tensor([6, 3])
    assert torch.equal(decoder(features, captions, lengths), decoder(features, captions, lengths, torch.randn(2, 5, 8, 8)))


@torch.no_grad()
def test_sentences_stop_at_the_end_token():
    torch.manual_seed(0)
    vocab = Vocabulary(["red", "bird"])
    captioner = Captioner(SmallImageEncoder(2, 5), CaptionDecoder(len(vocab), 5, 4)).eval()
    said = captioner.sentences(torch.randn(2, 3, 64, 64), vocab, steps=7)
    ids = captioner.decoder.greedy(captioner.encoder(torch.randn(2, 3, 64, 64))[1], 7)
    assert ids.shape == (2, 7) and len(said) == 2
    assert all(set(sentence.split()) <= {"red", "bird"} for sentence in said)
    captioner.decoder.linear.weight.zero_()
    for word, sentence in (("red", "red red red"), ("<end>", "")):
        captioner.decoder.linear.bias.copy_(torch.eye(len(vocab))[vocab.ids[word]])
        assert captioner.sentences(torch.randn(1, 3, 64, 64), vocab, steps=3) == [sentence]


@torch.no_grad()
@pytest.mark.parametrize("heads", [0, 3])
def test_pictures_of_several_sizes_are_described_together_as_apart(heads):
    torch.manual_seed(0)
    vocab = Vocabulary(["red", "bird", "wing", "blue"])
    captioner = Captioner(SmallImageEncoder(2, 5), CaptionDecoder(len(vocab), 5, 16, heads=heads)).double().eval()
    for layer in (captioner.decoder.linear, captioner.encoder.code):
        layer.weight.mul_(100)  # sentences that differ, and end at different words
    batches = [torch.randn(2, 3, side, side).double() for side in (64, 128, 64)]
    together = captioner.describe(batches, vocab, steps=9)
    assert together == [captioner.sentences(images, vocab, steps=9) for images in batches]
    lengths = {len(sentence.split()) for said in together for sentence in said}
    assert len(lengths) > 1, "sentences of one length do not show that each is read to its own end"


@torch.no_grad()
def test_decoding_stops_once_every_sentence_has_ended():
    torch.manual_seed(0)
    decoder = CaptionDecoder(6, 5, 4, heads=2)
    features, regions = torch.randn(3, 5), torch.randn(3, 5, 8, 8)
    whole = decoder.greedy(features, 12, regions)
    for end in range(6):
        ids = decoder.greedy(features, 12, regions, end)
        ended = (ids == end).any(1)
        assert torch.equal(ids, whole[:, : ids.shape[1]])
        assert ids.shape[1] == 12 or (ended.all() and not (ids[:, :-1] == end).any(1).all())


def test_variants_of_a_caption_share_their_picture():
    torch.manual_seed(0)
    head = ClozeHead(10, region_dim=6, width=8, embedding=5).eval()
    regions, captions = torch.randn(2, 6, 8, 8), torch.randint(3, 10, (4, 5))
    masked = torch.zeros(4, 5, dtype=torch.bool)
    masked[[0, 1, 1, 2, 3], [1, 0, 4, 2, 3]] = True
    captions[masked] = head.mask_id
    lengths, image = torch.tensor([5, 5, 4, 4]), torch.tensor([0, 0, 1, 1])
    logits = head(regions, captions, lengths, masked, image)
    assert logits.shape == (5, 10)
    torch.testing.assert_close(logits, head(regions[image], captions, lengths, masked))
    logits.sum().backward()
    assert head.key.weight.grad.abs().sum() > 0
