"""Networks by name."""

from typing import NamedTuple

from nets.mobilenet.efficientnet_b0 import ARCHITECTURES, efficientnet_b0
from scripts.effnetb0.architecture import Architecture
from scripts.errors import UserError


class Network(NamedTuple):
  """A network that training, evaluation and export can build."""
  name: str  # Of the flag --model_name.
  architecture: Architecture

  def build(self, images, num_classes, is_training, **options):
    """Logits and end points of `images`; arguments and results as of `efficientnet_b0`."""
    return efficientnet_b0(images, num_classes, is_training, self.architecture, **options)


def get_network(name):
  """The `Network` called `name`.

  Raises:
    UserError: there is none.
  """
  if name not in ARCHITECTURES:
    raise UserError('--model_name %s is unknown; there are %s'
                    % (name, ', '.join(sorted(ARCHITECTURES))))
  return Network(name, ARCHITECTURES[name])
