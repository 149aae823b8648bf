"""Preprocessings by name."""

from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from preprocessing import efficientnet_preprocessing
from scripts.errors import UserError

_TRAINING = {
    'efficientnet': efficientnet_preprocessing.random_crop,
    'efficientnet_autoaugment': efficientnet_preprocessing.random_crop_autoaugment,
    'efficientnet_central': efficientnet_preprocessing.central_crop,
}
# In TF-Slim a preprocessing is called by the network that it is for.
_TRAINING.update((network, efficientnet_preprocessing.random_crop) for network in ARCHITECTURES)
NAMES = tuple(sorted(_TRAINING))


def get_preprocessing(name):
  """The function `preprocess(encoded, image_size, info, key)` of a name of NAMES, for training.

  It takes an encoded image (string []), the size S of the network's input, the
  `imagenet.DatasetInfo` of the set and `key`: int64 [2], seed and number of the image, from which
  its random choices follow. It returns float32 [S, S, 3], RGB 0..255, not normalised.

  Raises:
    UserError: no preprocessing has this name.
  """
  if name not in _TRAINING:
    raise UserError('unknown preprocessing "%s": choose one of %s' % (name, ', '.join(NAMES)))
  return _TRAINING[name]
