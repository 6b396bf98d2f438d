#!/usr/bin/env python3
"""Compares what ./characterize --convention says with fvcore, ptflops, thop and torchinfo themselves.

    check_flops.py [--program ./characterize] [--size N] [--arch NAME ...]

Builds each of the ten architectures in PyTorch, in evaluation mode and with every block's ReLU a module of its own
name, as torchvision does; runs the four tools on one image; and demands a difference of 0 in their totals, and in the
parameters.  `make peers` installs the tools.
Exit status 0: all agree; 1: something does not, or a tool is missing; 77: PyTorch is.
"""
import argparse
import io
import json
import logging
import contextlib
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
try:
    import torch
    from torch import nn
except ImportError:
    print("check_flops: skipped, PyTorch is missing")
    sys.exit(77)

# bottleneck, blocks, groups, width of a group at 64 planes
ARCHS = {
    "resnet18": (False, (2, 2, 2, 2), 1, 64), "resnet34": (False, (3, 4, 6, 3), 1, 64),
    "resnet50": (True, (3, 4, 6, 3), 1, 64), "resnet101": (True, (3, 4, 23, 3), 1, 64),
    "resnet152": (True, (3, 8, 36, 3), 1, 64), "resnext50_32x4d": (True, (3, 4, 6, 3), 32, 4),
    "resnext101_32x8d": (True, (3, 4, 23, 3), 32, 8), "resnext101_64x4d": (True, (3, 4, 23, 3), 64, 4),
    "wide_resnet50_2": (True, (3, 4, 6, 3), 1, 128), "wide_resnet101_2": (True, (3, 4, 23, 3), 1, 128),
}


def conv_bn(c, k, size, stride=1, groups=1):
    return nn.Conv2d(c, k, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(k)


class Block(nn.Module):
    def __init__(self, c, planes, stride, bottleneck, groups, width):
        super().__init__()
        out = 4 * planes if bottleneck else planes
        middle = planes * width // 64 * groups
        if bottleneck:
            self.conv1, self.bn1 = conv_bn(c, middle, 1)
            self.conv2, self.bn2 = conv_bn(middle, middle, 3, stride, groups)
            self.conv3, self.bn3 = conv_bn(middle, out, 1)
        else:
            self.conv1, self.bn1 = conv_bn(c, planes, 3, stride)
            self.conv2, self.bn2 = conv_bn(planes, planes, 3)
        self.bottleneck = bottleneck
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(*conv_bn(c, out, 1, stride)) if stride != 1 or c != out else None

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(self.relu(y)))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self, arch):
        super().__init__()
        bottleneck, counts, groups, width = ARCHS[arch]
        self.conv1, self.bn1 = conv_bn(3, 64, 7, 2)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c = 64
        for stage, count in enumerate(counts):
            planes, blocks = 64 << stage, []
            for i in range(count):
                blocks.append(Block(c, planes, 2 if stage and not i else 1, bottleneck, groups, width))
                c = 4 * planes if bottleneck else planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(c, 1000)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def fvcore(net, size):
    from fvcore.nn import FlopCountAnalysis
    return FlopCountAnalysis(net, torch.zeros(1, 3, size, size)).total()


def ptflops(net, size):
    from ptflops import get_model_complexity_info
    return get_model_complexity_info(net, (3, size, size), as_strings=False, print_per_layer_stat=False,
                                     backend="pytorch")[0]


def thop(net, size):
    from thop import profile
    return profile(net, inputs=(torch.zeros(1, 3, size, size),), verbose=False)[0]


def torchinfo(net, size):
    from torchinfo import summary
    return summary(net, input_size=(1, 3, size, size), verbose=0).total_mult_adds


TOOLS = (fvcore, ptflops, thop, torchinfo)


def ours(program, arch, size, convention):
    out = subprocess.run([program, "--arch", arch, "--image-size", str(size), "--convention", convention, "--json"],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="./characterize")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--arch", nargs="*", default=list(ARCHS))
    args = parser.parse_args()
    checked = failed = 0
    missing = set()
    for arch in args.arch:
        for tool in TOOLS:
            net = ResNet(arch).eval()
            try:
                with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
                    theirs = int(tool(net, args.size))
            except ImportError:
                missing.add(tool.__name__)
                continue
            result = ours(args.program, arch, args.size, tool.__name__)
            parameters = sum(p.numel() for p in ResNet(arch).parameters())
            total = result["convention"]["total"]
            same = total == theirs and result["parameters"] == parameters
            checked += 1
            failed += not same
            print(f"{'ok  ' if same else 'FAIL'} {arch:17} {tool.__name__:9} {theirs:14,} ours {total:14,} "
                  f"difference {total - theirs}")
    for name in sorted(missing):
        print(f"FAIL {name}: not installed")
    print(f"check_flops: {checked} checks, {failed} failed, {len(missing)} tools missing")
    return int(failed > 0 or bool(missing) or not checked)


if __name__ == "__main__":
    sys.exit(main())
