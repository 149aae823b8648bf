"""Batches for slim's training and evaluation.

The evaluation's are adj_quant's. Those of the training are a function of the seed and the number
of the image alone: several workers share one order, and a run that stopped goes on in it.
"""

import tensorflow.compat.v1 as tf

import data
import imagenet
from preprocessing.preprocessing_factory import get_preprocessing

evaluation_batches = data.evaluation_batches


def training_batches(split, batch_size, image_size, offset, preprocessing_name, seed, threads,
                     shard=(0, 1), start=0, readers=None):
  """Endless full batches, reshuffled in each epoch; the same for the same seed.

  Args:
    split: `dataset_utils.Split`.
    batch_size: N, images per batch (of this worker).
    image_size: S, pixels a side.
    offset: what is subtracted from a label, see `imagenet.label_offset`.
    preprocessing_name: one of `preprocessing_factory.NAMES`.
    seed: whole number from which the order and all random choices follow.
    threads: images preprocessed in parallel; the batches do not depend on it.
    shard: (i, n), this worker and the number of them. They share one order of images, of which
      image j goes to worker j % n: their batches together are that of one process with n * N.
    start: images that all workers together have already seen, a multiple of n: a number or int64
      []. Whole epochs among them are not read again.
    readers: files of a large set read in parallel, None for one; the order does not depend on it.

  Returns:
    Dataset of (images float32 [N, S, S, 3], RGB 0..255 not normalised; labels int32 [N]).
  """
  preprocess = get_preprocessing(preprocessing_name)
  worker, workers = shard

  def example(record, number):
    encoded, label = imagenet.parse_record(record, split.info)
    key = tf.stack([tf.cast(seed, tf.int64), number])
    return preprocess(encoded, image_size, split.info, key), label - offset

  records = data.endless_records(split, seed, start, readers)
  numbered = tf.data.Dataset.zip((records, tf.data.Dataset.range(start, tf.int64.max)))
  examples = numbered.shard(workers, worker).map(example, num_parallel_calls=threads)
  return examples.batch(batch_size, drop_remainder=True).prefetch(2)
