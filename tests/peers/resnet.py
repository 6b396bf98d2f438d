"""ResNets under torchvision's parameter names, with the stems that ours have."""
from torch import nn

LAYERS = {"resnet18": (False, [2, 2, 2, 2]), "resnet34": (False, [3, 4, 6, 3]), "resnet50": (True, [3, 4, 6, 3])}


def conv(c, k, size, stride=1):
    return nn.Conv2d(c, k, size, stride, size // 2, bias=False)


class Block(nn.Module):
    """Basic: two 3x3 convolutions.  Bottleneck: 1x1, 3x3, 1x1 with four times the width."""

    def __init__(self, c, k, stride, bottleneck):
        super().__init__()
        out = 4 * k if bottleneck else k
        self.conv1 = conv(c, k, 1) if bottleneck else conv(c, k, 3, stride)
        self.bn1 = nn.BatchNorm2d(k)
        self.conv2 = conv(k, k, 3, stride if bottleneck else 1)
        self.bn2 = nn.BatchNorm2d(k)
        if bottleneck:
            self.conv3 = conv(k, out, 1)
            self.bn3 = nn.BatchNorm2d(out)
        self.bottleneck = bottleneck
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or c != out:
            self.downsample = nn.Sequential(conv(c, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(self.relu(y)))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, arch="resnet18", stem="cifar-pool", classes=10):
        super().__init__()
        bottleneck, counts = LAYERS[arch]
        size, stride = {"imagenet": (7, 2), "cifar": (3, 1), "cifar-pool": (3, 1), "3x3s2": (3, 2)}[stem]
        self.conv1 = conv(3, 64, size, stride)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if stem == "cifar" else nn.MaxPool2d(3, 2, 1)
        c = 64
        for i, count in enumerate(counts):
            k, blocks = 64 << i, []
            for j in range(count):
                blocks.append(Block(c, k, 2 if i and not j else 1, bottleneck))
                c = 4 * k if bottleneck else k
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))
