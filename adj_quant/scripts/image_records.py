"""Writes labelled images as TFRecords; `dataset_utils` finds and counts them."""

import os

import tensorflow.compat.v1 as tf

import imagenet
from scripts.runtime import new_session


def encode(images, image_format='jpeg'):
  """List of bytes: each of `images` (uint8 [height, width, 1 or 3]) as a 'jpeg' or 'png' file."""
  encoder = {'jpeg': tf.image.encode_jpeg, 'png': tf.image.encode_png}[image_format]
  with tf.Graph().as_default(), new_session(use_gpu=False) as session:
    image = tf.placeholder(tf.uint8, [None, None, None])
    encoded = encoder(image)
    return [session.run(encoded, {image: pixels}) for pixels in images]


def example(encoded, label):
  """bytes: the record of an encoded image with its label."""
  return tf.train.Example(features=tf.train.Features(feature={
      imagenet.IMAGE_KEY: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
      imagenet.LABEL_KEY: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
  })).SerializeToString()


def write_examples(folder, split, examples, shards=1):
  """Writes serialized records to the files `<split>-*-of-*`, in order; returns their paths."""
  paths = []
  for shard in range(shards):
    paths.append(os.path.join(str(folder), '%s-%05d-of-%05d' % (split, shard, shards)))
    first, last = (len(examples) * edge // shards for edge in (shard, shard + 1))
    with tf.python_io.TFRecordWriter(paths[-1]) as writer:
      for serialized in examples[first:last]:
        writer.write(serialized)
  return paths


def write_records(folder, split, images, labels, shards=1, image_format='jpeg'):
  """Writes labelled images as a split that `dataset_utils.find_split` finds.

  Args:
    folder: an existing folder.
    split: 'train', 'validation' or the like.
    images: uint8 [N, height, width, 3], or a list of arrays of different sizes.
    labels: N whole numbers as records carry them (ImageNet: 1..1000).
    shards: number of files.
    image_format: 'jpeg', or 'png' to get back exactly the pixels that were written.

  Returns:
    List of the paths.
  """
  encoded = encode(images, image_format)
  examples = [example(image, int(label)) for image, label in zip(encoded, labels)]
  return write_examples(folder, split, examples, shards)
