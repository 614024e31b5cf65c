"""Search your own network on your own data: python examples/own_model.py"""

import torch
from torch import nn

from growsearch import Study, from_tensors


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.head = nn.Linear(32, num_classes)

    def forward(self, x):
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(x)))
        return self.head(x.mean((2, 3)))


def bars():
    labels = torch.arange(600) % 2
    images = torch.randn(600, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images[labels == 0, :, 3] += 2  # a bright row
    images[labels == 1, :, :, 3] += 2  # a bright column
    return from_tensors(images, labels)


if __name__ == "__main__":
    small = {"space": Net, "budget": {"parameters": {"low": "5%", "high": "50%"}}, "epochs": 4}
    thin = {"space": Net, "transform": "none", "sparsity": {"low": 0.5, "high": 0.9}, "epochs": 4}
    study = Study({"name": "own-model", "dataset": bars,
                   "trials": {"growth": small, "sparse": thin},
                   "objectives": {"accuracy": "maximize", "macs": "minimize"},
                   "search": {"trials": 6, "parallel": 2}})  # fmt: skip
    front = study.run()
    print(front.to_pandas()[["accuracy", "macs", "parameters"]])
    print(front.select({"macs": 100_000}).chosen)
