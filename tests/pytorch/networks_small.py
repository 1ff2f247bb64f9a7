"""Small networks of the usual kinds, each sound: the ground on which tests plant faults."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


def mlp(norm=False, dropout=0.0, sizes=(12, 16, 16, 4)):
    layers = []
    for n, m in pairwise(sizes[:-1]):
        layers += [
            nn.Linear(n, m, bias=not norm),
            *([nn.BatchNorm1d(m)] if norm else []),
            nn.ReLU(),
            nn.Dropout(dropout),
        ]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def vgg(bias=False, momentum=0.1, eps=1e-5, tracked=True, dropout=0.1):
    def block(n, m):
        norm = nn.BatchNorm2d(m, momentum=momentum, eps=eps, track_running_stats=tracked)
        return [nn.Conv2d(n, m, 3, padding=1, bias=bias), norm, nn.ReLU(inplace=True), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 6), *block(6, 8), nn.Flatten(), nn.Dropout(dropout), nn.Linear(32, 4))


class Residual(nn.Module):
    def __init__(self, n, m, stride=1, bias=False):
        super().__init__()
        self.bn2 = nn.BatchNorm2d(m)  # registered in another order than used
        self.conv1 = nn.Conv2d(n, m, 3, stride, 1, bias=bias)
        self.conv2 = nn.Conv2d(m, m, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(m)
        self.short = nn.Sequential()
        if stride != 1 or n != m:
            self.short = nn.Sequential(nn.Conv2d(n, m, 1, stride, bias=False), nn.BatchNorm2d(m))

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.short(x))


class ResNet(nn.Module):
    def __init__(self, bias=False, zero_init=False):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, 1, 1, bias=bias)
        self.norm = nn.BatchNorm2d(6)
        self.layers = nn.Sequential(Residual(6, 6), Residual(6, 8, 2, bias=bias))
        self.head = nn.Linear(8, 4)
        if zero_init:
            for layer in self.layers:
                nn.init.zeros_(layer.bn2.weight)

    def features(self, x):
        return self.layers(F.relu(self.norm(self.stem(x)))).mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))


class PreActivation(nn.Module):
    """Norm before activation before convolution, where a bias is read by the residual sum and does matter."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.conv(F.relu(self.norm(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class UNet(nn.Module):
    """Weights as plain parameters and functional calls; one output for each pixel."""

    def __init__(self, bias=False):
        super().__init__()
        self.down = nn.Parameter(torch.randn(6, 1, 3, 3) * 0.3)
        self.down_bias = nn.Parameter(torch.zeros(6)) if bias else None
        self.scale, self.shift_bias = nn.Parameter(torch.ones(6)), nn.Parameter(torch.zeros(6))
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("var", torch.ones(6))
        self.middle = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.up = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, x):
        high = F.conv2d(x, self.down, self.down_bias, padding=1)
        high = F.relu(F.batch_norm(high, self.mean, self.var, self.scale, self.shift_bias, self.training))
        low = F.relu(self.norm(self.middle(F.max_pool2d(high, 2))))
        low = F.interpolate(low, scale_factor=2, mode="nearest")
        return self.up(torch.cat([high, low], 1))


class Attention(nn.Module):
    """A transformer of one's own on scaled dot-product attention, before-norm."""

    def __init__(self, dropout=0.1, careless=False):
        super().__init__()
        self.embed, self.place = nn.Embedding(20, 16), nn.Parameter(torch.randn(8, 16) * 0.02)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(16), nn.LayerNorm(16), nn.LayerNorm(16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.widen, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 20, bias=False)
        self.head.weight = self.embed.weight
        self.p, self.careless = dropout, careless

    def forward(self, tokens):
        x = self.embed(tokens) + self.place
        q, k, v = self.qkv(self.norm1(x)).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
        p = self.p if self.training or self.careless else 0.0
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        x = x + self.out(a.transpose(1, 2).flatten(2))
        x = x + F.dropout(self.narrow(F.gelu(self.widen(self.norm2(x)))), self.p, self.training)
        return self.head(self.norm3(x))


class Encoder(nn.Module):
    def __init__(self, dropout=0.1):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens):
        return self.head(self.encoder(self.embed(tokens)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind=nn.GRU, dropout=0.0, layers=1):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.rnn = kind(8, 12, layers, batch_first=True, dropout=dropout)
        self.head = nn.Linear(12, 4)

    def forward(self, tokens):
        return self.head(self.rnn(self.embed(tokens))[0][:, -1])


class Shared(nn.Module):
    """One convolution used at two scales, with a norm for each."""

    def __init__(self, bias=False, one_norm=False, leaks=False):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1, bias=bias)
        self.norms = nn.ModuleList([nn.BatchNorm2d(6)] if one_norm or leaks else [nn.BatchNorm2d(6), nn.BatchNorm2d(6)])
        self.head = nn.Linear(12, 4)
        self.leaks = leaks

    def forward(self, x):
        large, small = self.conv(x), self.conv(F.avg_pool2d(x, 2))
        sums = [self.norms[0](large), F.relu(small) if self.leaks else self.norms[-1](small)]
        return self.head(torch.cat([F.relu(one).mean((2, 3)) for one in sums], 1))


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.AvgPool2d(2),
            nn.Conv2d(8, 8, 3, groups=8), nn.GroupNorm(4, 8), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.body(x).amax((2, 3)))


class Mixer(nn.Module):
    """Tokens mixed by a linear layer whose norm sees the channels after a transpose."""

    def __init__(self, bias=False):
        super().__init__()
        self.project = nn.Linear(16, 6, bias=bias)
        self.norm = nn.BatchNorm1d(6)
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        tokens = x.view(x.shape[0], 4, 16)
        x = F.gelu(self.norm(self.project(tokens).transpose(1, 2)))
        return self.head(self.mix(x).mean(2))


class Dense(nn.Module):
    """Features concatenated before each norm, as in DenseNet; here the biases before a norm do not all vanish."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.first(x)
        return self.head(torch.cat([x, self.second(F.relu(self.norm(x)))], 1).mean((2, 3)))


class Heads(nn.Module):
    """Two inputs and a dict of outputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(12, 8), nn.Linear(12, 8)
        self.kind, self.size = nn.Linear(16, 4), nn.Linear(16, 1)

    def forward(self, left, right):
        x = torch.cat([torch.tanh(self.left(left)), torch.tanh(self.right(right))], 1)
        return {"kind": self.kind(x), "size": self.size(x)}


class Autoencoder(nn.Module):
    """Called by its parts, never as a whole."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(12, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
        self.decode = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 12))


class Hidden(nn.Module):
    """Layers in a plain list."""

    def __init__(self):
        super().__init__()
        self.branches = [nn.Linear(12, 4), nn.Linear(12, 4)]
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * sum(branch(x) for branch in self.branches)


class Loose(nn.Module):
    """A weight that is no parameter."""

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(4, 12, requires_grad=True)
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)
