"""Stand-ins of a case's losses for the pretrained image networks, the caption decoder, and the text losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.convert.keys import CAPTION_DECODER
from dmm.convert.reference_case import Case, Tensors, load
from dmm.losses.damsm import damsm_loss
from dmm.losses.stream import caption_loss
from dmm.models.captioner import CaptionDecoder, Captioner


class StandInEncoder(nn.Module):
    """The files' stand-in for the DAMSM image encoder: a linear map of 17x17 average-pooled pixels, another of 4x4."""

    def __init__(self, weights: Tensors):
        super().__init__()
        self.regions, self.embedding = weights["feat_weight"], weights["code_weight"]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures B 3 S S -> regions B D 17 17 and embedding B D."""
        regions = torch.einsum("dc,bchw->bdhw", self.regions, F.adaptive_avg_pool2d(images, 17))
        return regions, F.adaptive_avg_pool2d(images, 4).flatten(1) @ self.embedding.T


class StandInCaptionEncoder(nn.Module):
    """The files' stand-in for the caption encoder: a linear map of 8x8 average-pooled pixels."""

    def __init__(self, weights: Tensors):
        super().__init__()
        self.weight, self.bias = weights["weight"], weights["bias"]

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        """Pictures B 3 S S -> no regions, and embedding B D."""
        return None, F.linear(F.adaptive_avg_pool2d(images, 8).flatten(1), self.weight, self.bias)


def caption_decoder(case: Case, prefix: str) -> CaptionDecoder:
    """The case's caption decoder, whose weights lie under ``prefix``."""
    sizes = case.hp["CAP"]
    decoder = CaptionDecoder(sizes["vocab"], sizes["embed_size"], sizes["hidden"], sizes["num_layers"])
    return load(case, decoder, prefix, CAPTION_DECODER)


def has_network_of(case: Case, kind: str) -> bool:
    """Does the case hold the network of that text loss, "stream" or "damsm"?"""
    return bool(case.below("weights/capcnn/" if kind == "stream" else "weights/imgenc/"))


def text_loss(case: Case, images: Tensor, kind: str) -> tuple[Tensor, Tensors]:
    """The unweighted text loss of pictures B 3 S S, "stream" or "damsm": its total, and its parts by the files' names."""
    if kind == "stream":
        captioner = Captioner(StandInCaptionEncoder(case.below("weights/capcnn/")), caption_decoder(case, "weights/CAPTION_RNN/"))
        captions, lengths = case["captions"], case["cap_lens"]
        loss = caption_loss(captioner(images, captions, lengths), captions, lengths)
        return loss, {"caption_ce": loss}
    encoder = StandInEncoder(case.below("weights/imgenc/"))
    gammas = [case.hp[f"GAMMA{i}"] for i in (1, 2, 3)]
    parts = damsm_loss(encoder, images, case["word_embs"], case["sent_emb"], case["cap_lens"], case["class_ids"], *gammas)
    return parts["total"], damsm_names(parts)


def damsm_names(parts: Mapping[str, Tensor]) -> Tensors:
    """The parts of the matching loss by the files' names."""
    return {f"{name[0]}_loss{name[-1]}": value for name, value in parts.items() if name != "total"}
