"""What this code uses of TensorFlow that is not public, each with its reason.

A next version may lack any of it: then this file is where to look.
"""

from tensorflow.python.training.saver import BaseSaverBuilder

# A checkpoint entry for each piece of a variable: a Saver knows whole variables and these objects,
# and partitioned variables, the public kind of pieces, are cut along one axis only.
SaveableObject = BaseSaverBuilder.SaveableObject
SaveSpec = BaseSaverBuilder.SaveSpec
