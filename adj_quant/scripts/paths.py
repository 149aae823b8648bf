"""Where the repository's own files are."""

import os

ADJ_QUANT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(ADJ_QUANT)
BUILD = os.path.join(ROOT, 'build')
SLIM = os.path.join(ROOT, 'slim')
FLOAT_WEIGHTS = os.path.join(ROOT, 'pretrained', 'efficient_b0_autoaugment',
                             'frozen_efficientnet_b0_weights.pickle')
THRESHOLDS = os.path.join(ADJ_QUANT, 'initial_thresholds.json')  # Of FLOAT_WEIGHTS.
MEASURED_THRESHOLDS = 'measured_thresholds.json'  # What -e writes to an output folder.
FASHION_MNIST_SUBSET = os.path.join(SLIM, 'datasets', 'fashion_mnist_subset')
