"""Replay of the text side: encoder, redescription, matching, and the mask in the generators' attention."""

from __future__ import annotations

import torch

from dmm.convert.keys import TEXT_ENCODER
from dmm.convert.reference_case import Case, Tensors, load, register_case, under
from dmm.convert.stand_ins import caption_decoder, damsm_names
from dmm.data.vocab import Vocabulary
from dmm.losses.kl import kl_loss
from dmm.losses.stream import caption_loss
from dmm.matching import mask_same_class, matching_losses, region_attention, sentence_scores, word_scores
from dmm.models.memory import KeyAddressing, ValueReading, paired_sample
from dmm.models.text_encoder import TextEncoder


@register_case("text")
@torch.no_grad()
def replay_text(case: Case) -> Tensors:
    """Word and sentence features and the generator's mask, under both conventions of special tokens."""
    hp = case.hp
    produced: Tensors = {}
    encoder = load(case, TextEncoder(hp["vocab"], hp["ninput"], hp["EMBEDDING_DIM"]), "weights/", TEXT_ENCODER).eval()
    for convention in ("dmm", "pad0"):
        captions = case[f"captions_{convention}"]
        words, sentence = encoder(captions, case["cap_lens"])
        mask = Vocabulary([], convention).mask(captions)[:, : words.shape[2]]
        produced |= under(f"out/{convention}", {"words_emb": words, "sent_emb": sentence, "mask": mask})
    return produced


@register_case("caption")
@torch.no_grad()
def replay_caption(case: Case) -> Tensors:
    """Logits and targets in packed (time-major) order, the caption loss, and greedy decoding."""
    decoder = caption_decoder(case, "weights/")
    captions, lengths = case["captions"], case["cap_lens"]
    logits = decoder(case["features"], captions, lengths)  # B T V
    steps = torch.arange(logits.shape[1])
    running = steps[:, None] < lengths[None]  # T B
    return {
        "out/batch_sizes": running.sum(1),
        "out/packed_logits": logits.transpose(0, 1)[running],
        "out/packed_targets": captions.T[: len(steps)][running],
        "out/caption_loss": caption_loss(logits, captions, lengths),
        "out/sample_ids": decoder.greedy(case["features"], 20),
    }


@register_case("damsm")
@torch.no_grad()
def replay_damsm(case: Case) -> Tensors:
    """Scores, losses and attention maps with and without classes, and the KL."""
    gammas = [case.hp[f"GAMMA{i}"] for i in (1, 2, 3)]
    regions, embedding = case["img_features"], case["cnn_code"]
    words, sentence, lengths = case["words_emb"], case["sent_emb"], case["cap_lens"]
    produced = {"out/kl_loss": kl_loss(case["mu"], case["logvar"])}
    for group, class_ids in (("no_class", None), ("class", case["class_ids"])):
        by_words = mask_same_class(gammas[2] * word_scores(regions, words, lengths, *gammas[:2]), class_ids)
        by_sentence = mask_same_class(gammas[2] * sentence_scores(embedding, sentence), class_ids)
        parts = matching_losses(regions, embedding, words, sentence, lengths, class_ids, *gammas)
        produced |= under(f"out/{group}", {"words_scores": by_words, "sent_scores": by_sentence} | damsm_names(parts))
    attention, _ = region_attention(regions, words, lengths, gammas[0])
    produced |= {f"out/att_map{i}": attention[i : i + 1, :length] for i, length in enumerate(lengths.tolist())}
    shortest = int(lengths.min())
    attention, context = region_attention(regions, words[:, :, :shortest], lengths.clamp(max=shortest), gammas[0])
    return produced | {"out/func_attention/attn": attention, "out/func_attention/weighted_context": context}


@register_case("mask")
@torch.no_grad()
def replay_mask(case: Case) -> Tensors:
    """Attention under the published pairing of masks, and under the right one."""
    produced: Tensors = {}
    for batch in case.hp["batches"]:
        query, key, value, mask = (case[f"b{batch}/{name}"] for name in ("query", "key", "value", "mask"))
        out = {"mask_sample_used": paired_sample(batch, query[0, 0].numel()).view(batch, *query.shape[2:])}
        for pairing, suffix in (("published", ""), ("right", "_each_alone")):
            attention = KeyAddressing(pairing)(query, key, mask)
            out |= {f"att{suffix}": attention, f"memory_out{suffix}": ValueReading()(attention, value)}
        produced |= under(f"out/b{batch}", out)
    return produced
