"""Small codes of our own in the place of the published ones: the files, classes and parameter names of AttnGAN, DM-GAN and DF-GAN."""

from __future__ import annotations

from pathlib import Path

CONFIG = """
from easydict import EasyDict
cfg = EasyDict(CUDA=True, TREE=EasyDict(BRANCH_NUM=1), TEXT=EasyDict(EMBEDDING_DIM=7))
cfg.GAN, cfg.TRAIN = EasyDict(GF_DIM=1, DF_DIM=1), EasyDict(SMOOTH=EasyDict(LAMBDA=0.0))
"""
ATTENTION = """
def read(maps, keys, values, mask):
    logits = (maps.flatten(2).transpose(1, 2) @ keys).flatten(0, 1)  # rows sample by sample
    tiled = mask.repeat(maps[0, 0].numel(), 1)  # rows position by position, as published
    weights = logits.masked_fill(tiled, float("-inf")).softmax(1).view(len(maps), -1, keys.shape[2])
    return (values @ weights.transpose(1, 2)).view(len(maps), -1, *maps.shape[2:])
"""
SPECTRAL = """
import torch
from torch import nn
from torch.nn.functional import normalize

class SpectralNorm(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module, weight = module, module.weight.data
        del module.weight
        module.weight_bar = nn.Parameter(weight)
        for name, count in (("weight_u", len(weight)), ("weight_v", weight[0].numel())):
            setattr(module, name, nn.Parameter(normalize(torch.randn(count), dim=0), requires_grad=False))

    def forward(self, x):
        m = self.module
        flat = m.weight_bar.flatten(1)
        v = normalize(flat.detach().t() @ m.weight_u, dim=0)
        u = normalize(flat.detach() @ v, dim=0)
        m.weight_u.data, m.weight_v.data = u, v
        m.weight = m.weight_bar / (u @ flat @ v)
        return m(x)
"""
MODEL = """
import torch
from torch import nn
from torchvision import models
from GlobalAttention import read
from miscc.config import cfg

MEMORY = {memory}
if MEMORY:
    from spectral import SpectralNorm


class GLU(nn.Module):
    def forward(self, x):
        kept, gates = x.chunk(2, 1)
        return kept * gates.sigmoid()


def conv(i, o, kernel=3, stride=1, bias=False):
    return nn.Conv2d(i, o, kernel, stride, int(kernel > 1), bias=bias)


def up(i, o):
    return nn.Sequential(nn.Upsample(scale_factor=2), conv(i, 2 * o), nn.BatchNorm2d(2 * o), GLU())


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.block = nn.Sequential(conv(c, 2 * c), nn.BatchNorm2d(2 * c), GLU(), conv(c, c), nn.BatchNorm2d(c))

    def forward(self, x):
        return x + self.block(x)


class CA_NET(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(cfg.TEXT.EMBEDDING_DIM, 4 * cfg.GAN.CONDITION_DIM)

    def reparametrize(self, mean, logvar):
        return torch.cuda.FloatTensor(mean.shape).normal_() * (logvar / 2).exp() + mean

    def forward(self, sentence):
        mean, logvar = GLU()(self.fc(sentence)).chunk(2, 1)
        return self.reparametrize(mean, logvar), mean, logvar


class Initial(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(cfg.GAN.CONDITION_DIM + cfg.GAN.Z_DIM, 32 * c, bias=False), nn.BatchNorm1d(32 * c), GLU())
        for n in range(4):
            setattr(self, f"upsample{{n + 1}}", up(c >> n, c >> n + 1))

    def forward(self, code, noise):
        x = self.fc(torch.cat((code, noise), 1)).view(len(code), -1, 4, 4)
        return self.upsample4(self.upsample3(self.upsample2(self.upsample1(x))))


class Stage(nn.Module):
    def __init__(self, c, d):
        super().__init__()
        if MEMORY:
            self.A, self.B = nn.Linear(d, 1, bias=False), nn.Linear(c, 1, bias=False)
            for name, i, o in (("M_w", d, 2 * c), ("M_r", c, 2 * c), ("key", 2 * c, c), ("value", 2 * c, c)):
                setattr(self, name, nn.Sequential(nn.Conv1d(i, o, 1), nn.ReLU()))
            self.response_gate = nn.Sequential(conv(2 * c, 1, 1, bias=True), nn.Sigmoid())
        else:
            self.att = nn.Module()
            self.att.conv_context = conv(d, c, 1)
        self.residual = nn.Sequential(*(Residual(2 * c) for _ in range(cfg.GAN.R_NUM)))
        self.upsample = up(2 * c, c)

    def forward(self, x, words, mask):
        if MEMORY:
            mean = x.mean((2, 3))[:, :, None].detach()
            gate = (self.A(words.transpose(1, 2)) + self.B(mean.transpose(1, 2))).transpose(1, 2).sigmoid()
            memory = gate * self.M_w(words) + (1 - gate) * self.M_r(mean)
            found = read(x, self.key(memory), self.value(memory), mask)
            gate = self.response_gate(torch.cat((x, found), 1))
            x = (1 - gate) * x + gate * found
            joined = torch.cat((x, x), 1)
        else:
            keys = self.att.conv_context(words[..., None])[..., 0]
            joined = torch.cat((x, read(x, keys, keys, mask)), 1)
        return self.upsample(self.residual(joined))


class Image(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.img = nn.Sequential(conv(c, 3), nn.Tanh())


class G_NET(nn.Module):
    def __init__(self):
        super().__init__()
        assert cfg.TREE.BRANCH_NUM == 3 and not cfg.CUDA
        c = cfg.GAN.GF_DIM
        self.ca_net, self.h_net1 = CA_NET(), Initial(16 * c)
        self.h_net2, self.h_net3 = (Stage(c, cfg.TEXT.EMBEDDING_DIM) for _ in "23")
        self.img_net1, self.img_net2, self.img_net3 = (Image(c) for _ in "123")

    def forward(self, noise, sentence, words, mask, *lengths):
        assert len(lengths) == MEMORY
        code, mean, logvar = self.ca_net(sentence)
        maps = [self.h_net1(code, noise)]
        maps.append(self.h_net2(maps[-1], words, mask))
        maps.append(self.h_net3(maps[-1], words, mask))
        images = [head.img(x) for head, x in zip((self.img_net1, self.img_net2, self.img_net3), maps)]
        return images, [], mean, logvar


def down(i, o, kernel=4, stride=2, norm=True):
    if MEMORY:
        return [SpectralNorm(conv(i, o, kernel, stride, bias=True)), nn.LeakyReLU(0.2)]
    return [conv(i, o, kernel, stride), *[nn.BatchNorm2d(o)] * norm, nn.LeakyReLU(0.2)]


class Head(nn.Module):
    def __init__(self, c, d):
        super().__init__()
        self.outlogits = nn.Sequential(nn.Conv2d(c, 1, 4, 4), nn.Sigmoid())
        if d:
            self.jointConv = nn.Sequential(*down(c + d, c, 3, 1))

    def forward(self, x, sentence=None):
        if sentence is not None:
            x = self.jointConv(torch.cat((x, sentence[:, :, None, None].expand(-1, -1, 4, 4)), 1))
        return self.outlogits(x).view(-1)


class D_NET64(nn.Module):
    late = ()

    def __init__(self):
        super().__init__()
        c = cfg.GAN.DF_DIM
        self.img_code_s16 = nn.Sequential(*down(3, c, norm=False), *down(c, 2 * c), *down(2 * c, 4 * c), *down(4 * c, 8 * c))
        for name, i, o, kernel in self.late:
            setattr(self, name, nn.Sequential(*down(i * c, o * c, kernel, 1 + kernel % 3)))
        self.COND_DNET, self.UNCOND_DNET = Head(8 * c, cfg.TEXT.EMBEDDING_DIM), Head(8 * c, 0)

    def forward(self, x):
        x = self.img_code_s16(x)
        for name, *_ in self.late:
            x = getattr(self, name)(x)
        return x


class D_NET128(D_NET64):
    late = (("img_code_s32", 8, 16, 4), ("img_code_s32_1", 16, 8, 3))


class D_NET256(D_NET64):
    late = (("img_code_s32", 8, 16, 4), ("img_code_s64", 16, 32, 4), ("img_code_s64_1", 32, 16, 3), ("img_code_s64_2", 16, 8, 3))
"""
LOSSES = """
from torch.nn.functional import binary_cross_entropy as bce
from dmm.matching import matching_losses
from miscc.config import cfg

def discriminator_loss(net, real, fake, sentence, one, zero):
    real, fake = net(real), net(fake.detach())
    loss = bce(net.COND_DNET(real, sentence), one) / 2 + bce(net.COND_DNET(fake, sentence), zero) / 3
    loss = loss + bce(net.COND_DNET(real[:-1], sentence[1:]), zero[1:]) / 3
    loss = loss + bce(net.UNCOND_DNET(real), one) / 2 + bce(net.UNCOND_DNET(fake), zero) / 3
    return (loss, "a line") if {memory} else loss

def generator_loss(nets, encoder, fakes, one, words, sentence, match, lengths, classes):
    smooth, loss = cfg.TRAIN.SMOOTH, 0
    for net, fake in zip(nets, fakes):
        seen = net(fake)
        loss = loss + bce(net.COND_DNET(seen, sentence), one) + bce(net.UNCOND_DNET(seen), one)
    regions, code = encoder(fakes[-1])
    texts = matching_losses(regions, code, words, sentence, lengths, classes, smooth.GAMMA1, smooth.GAMMA2, smooth.GAMMA3)
    return loss + smooth.LAMBDA * texts["total"], "a line"

def KL_loss(mean, logvar):
    return (mean**2 + logvar.exp() - 1 - logvar).mean() / 2
"""
DFGAN = """
from collections import OrderedDict
import torch
from torch import nn
from torch.nn.functional import interpolate, leaky_relu


class Affine(nn.Module):
    def __init__(self, d, c):
        super().__init__()
        for name in ("fc_gamma", "fc_beta"):
            layers = (("linear1", nn.Linear(d, c)), ("relu1", nn.ReLU()), ("linear2", nn.Linear(c, c)))
            setattr(self, name, nn.Sequential(OrderedDict(layers)))

    def forward(self, x, y):
        return leaky_relu(x * self.fc_gamma(y)[:, :, None, None] + self.fc_beta(y)[:, :, None, None], 0.2)


class Fusion(nn.Module):
    def __init__(self, d, c):
        super().__init__()
        self.affine0, self.affine1 = Affine(d, c), Affine(d, c)

    def forward(self, x, y):
        return self.affine1(self.affine0(x, y), y)


class Block(nn.Module):
    def __init__(self, d, i, o):
        super().__init__()
        self.fuse1, self.c1, self.fuse2, self.c2 = Fusion(d, i), nn.Conv2d(i, o, 3, 1, 1), Fusion(d, o), nn.Conv2d(o, o, 3, 1, 1)
        if i != o:
            self.c_sc = nn.Conv2d(i, o, 1)

    def forward(self, x, y):
        x = interpolate(x, scale_factor=2)
        short = self.c_sc(x) if hasattr(self, "c_sc") else x
        return short + self.c2(self.fuse2(self.c1(self.fuse1(x, y)), y))


class NetG(nn.Module):
    def __init__(self, ngf, nz, cond_dim, imsize, ch_size):
        super().__init__()
        self.fc = nn.Linear(nz, ngf * 8 * 16)
        widths = [ngf * min(imsize // size, 8) for size in (4 << n for n in range(7)) if size <= imsize]
        self.GBlocks = nn.ModuleList(Block(nz + cond_dim, i, o) for i, o in zip(widths, widths[1:]))
        self.to_rgb = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(ngf, ch_size, 3, 1, 1), nn.Tanh())

    def forward(self, noise, c):
        x = self.fc(noise).view(len(noise), -1, 4, 4)
        for block in self.GBlocks:
            x = block(x, torch.cat((noise, c), 1))
        return self.to_rgb(x)
"""


def write_checkout(folder: Path, system: str) -> Path:
    """A checkout of attngan, dmgan or dfgan in ``folder``."""
    memory = str(system == "dmgan")
    attentive = {
        "model.py": MODEL.format(memory=memory),
        "GlobalAttention.py": ATTENTION,
        "miscc/config.py": CONFIG,
        "miscc/losses.py": LOSSES.format(memory=memory),
    }
    files = {"models/GAN.py": DFGAN} if system == "dfgan" else attentive | ({"spectral.py": SPECTRAL} if system == "dmgan" else {})
    for name, text in files.items():
        path = folder / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
