"""Known data sets: digits, CIFAR, Fashion-MNIST, from their official files."""
