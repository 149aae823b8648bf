"""Batches of images from TFRecords, as `tf.data` pipelines.

Every pipeline gives (images float32 [N, S, S, 3], RGB 0..255 with the small overshoot of bicubic
resizing, not normalised; labels int32 [N], indices of the network's outputs). A damaged record
fails the run that reads it; `data_error` then says which one it was. The training of slim/ orders
and decodes its images by the same functions.

The central crop and the bicubic resizing are those of EfficientNet's published evaluation; the
random crop is Inception's (Szegedy et al., "Going Deeper with Convolutions", 2014, section 6),
mixup is Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
"""

import contextlib
import math
import os

import tensorflow.compat.v1 as tf

import imagenet
from dataset_utils import diagnose, is_chosen
from scripts.errors import UserError

SMALLEST_CROP = 0.08  # Of the area of an image, Inception's.
CROP_DRAWS = (5, 10)  # What `random_image` needs: its choices, in ten attempts.
_SHARE_DRAWS = (2, 20)  # What `_lesser_share` needs: its two numbers, in twenty attempts.
_SHUFFLE_BYTES = 512 * 2 ** 20  # Encoded images waiting in the shuffle buffer.
FILES_AT_ONCE = 16  # Files that a large set is read from in turn.
_DATA_ERRORS = (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError)


def evaluation_batches(split, batch_size, image_size, offset, threads):
  """One epoch in the order of the files: every image once, the last batch may be smaller.

  Args:
    split: `dataset_utils.Split`.
    batch_size: images per batch.
    image_size: S, pixels a side.
    offset: what is subtracted from a label, see `imagenet.label_offset`.
    threads: images decoded in parallel; their order is kept.
  """
  def example(record):
    encoded, label = imagenet.parse_record(record, split.info)
    return central_image(encoded, image_size, split.info), label - offset

  examples = _records(split).map(example, num_parallel_calls=threads)
  # The whole batch is reserved at once.
  return examples.batch(max(1, min(batch_size, split.count))).prefetch(2)


def training_batches(split, batch_size, image_size, offset, crop, seed, threads, start=0, mixup=0,
                     replica=(0, 1)):
  """Endless full batches, reshuffled in each epoch; the same for the same seed.

  Sets up to 512 MiB are shuffled as a whole. Of larger ones the order of the files is shuffled, and
  a buffer of that size (some 4,600 ImageNet images) is filled from 16 files in turn; of a large
  split with a limit, in the order of the files.

  Args:
    split, batch_size, image_size, offset, threads: as in `evaluation_batches`.
    crop: smallest share of an image's area that its random crop, mirrored or not, shows; None: the
      central crop of the evaluation.
    seed: whole number from which the order, the crops, the flips and the shares follow.
    start: images that were already seen, a number or int64 []: the batches are those that follow
      them. None of these images is decoded, and whole epochs among them are not read.
    mixup: A in (0, 1] blends each image with its predecessor in the batch, the first with the last;
      of z from Beta(A, A) and 1 - z the lesser is the predecessor's share. Labels are those of the
      larger part. 0: no blend.
    replica: (i, n): these are the batches of the i-th of n, whose `split` is a part of its own. The
      crops and shares of no two are the same.
  """
  def example(record, number):
    number = number * replica[1] + replica[0]
    # All chance from the number of the image: threads would draw from one generator in any order.
    key = [tf.cast(seed, tf.int64), number]
    encoded, label = imagenet.parse_record(record, split.info)
    if crop:
      draws = tf.random.stateless_uniform(CROP_DRAWS, key)
      image = random_image(encoded, image_size, split.info, draws, crop)
    else:
      image = central_image(encoded, image_size, split.info)
    if not mixup:
      return image, label - offset
    # Crops have the numbers from 0 on.
    draws = tf.random.stateless_uniform(_SHARE_DRAWS, [key[0], -1 - number])
    return image, label - offset, _lesser_share(draws, mixup)

  records = endless_records(split, seed, start)
  numbered = tf.data.Dataset.zip((records, tf.data.Dataset.range(start, tf.int64.max)))
  examples = numbered.map(example, num_parallel_calls=threads)
  batches = examples.batch(batch_size, drop_remainder=True)
  return (batches.map(_blend) if mixup else batches).prefetch(2)


def joined_batches(datasets):
  """The batches of several data sets (a list), one after the other as one batch."""
  if len(datasets) == 1:
    return datasets[0]

  def join(*batches):
    return tuple(tf.concat(tensors, 0) for tensors in zip(*batches))

  return tf.data.Dataset.zip(tuple(datasets)).map(join).prefetch(1)


def data_error(error, split):
  """What to raise in place of an error of `session.run`, after a full check of the records.

  Args:
    error: a `tf.errors.OpError` raised while batches of `split` were read.
    split: the `dataset_utils.Split`.

  Returns:
    A `UserError` that names the bad record, or `error` itself when the data are not its cause.
  """
  fault = diagnose(split) if isinstance(error, _DATA_ERRORS) else None
  return UserError(fault) if fault else error


@contextlib.contextmanager
def explained_errors(size_flag, *splits):
  """Turns TensorFlow's errors about records of `splits`, or about memory, into `UserError`.

  Args:
    size_flag: name of the script's flag for the size of images.
    *splits: each a `dataset_utils.Split` that is read.
  """
  try:
    yield
  except tf.errors.ResourceExhaustedError:
    raise UserError('out of memory: lower --batch_size or --%s' % size_flag)
  except tf.errors.OpError as error:
    for split in splits:
      explained = data_error(error, split)
      if explained is not error:
        raise explained
    raise


def endless_records(split, seed, start, readers=None):
  """Dataset of string []: the records from number `start` on, each epoch in an order of its own.

  The seed of an epoch follows from its number, so that none has to be read to know the next.

  Args:
    split: `dataset_utils.Split`.
    seed: whole number from which the orders follow.
    start: a number or int64 [].
    readers: see `shuffled_records`.
  """
  def one_epoch(epoch):
    key = tf.stack([tf.cast(seed, tf.int64), epoch])
    epoch_seed = tf.random.stateless_uniform([], key, maxval=2 ** 31 - 1, dtype=tf.int64)
    return shuffled_records(split, epoch_seed, readers)

  epoch, image = start // split.count, start % split.count  # Tensors know no divmod.
  return tf.data.Dataset.range(epoch, tf.int64.max).flat_map(one_epoch).skip(image)


def shuffled_records(split, seed, readers=None):
  """Dataset of string []: one epoch of the split's records, in another order at each iteration.

  Args:
    split: `dataset_utils.Split`.
    seed: whole number or int64 [], from which the orders follow.
    readers: files of a large set that are read in parallel, None for one; the order is the same.
  """
  record_bytes = sum(map(os.path.getsize, split.files)) / sum(split.by_file)
  buffer = min(split.count, max(1, int(_SHUFFLE_BYTES / record_bytes)))
  if buffer == split.count or split.count < split.records:
    records = _records(split)
  else:
    files = tf.data.Dataset.from_tensor_slices(_paths(split))
    files = files.shuffle(len(split.files), seed=seed)
    records = files.interleave(tf.data.TFRecordDataset, cycle_length=FILES_AT_ONCE,
                               num_parallel_calls=readers and possible_readers(split, readers))
    records = _shared(records, split)
  return records.shuffle(buffer, seed=seed + 1)


def possible_readers(split, readers):
  """How many of the wanted `readers` a split can have: one a file, FILES_AT_ONCE at most."""
  return min(readers, FILES_AT_ONCE, len(split.files))


def central_image(encoded, image_size, info):
  """float32 [S, S, 3]: the central square that the evaluation of a set with `info` sees."""
  share = info.central_share(image_size)

  def window(height, width):
    return _central_window(height, width, share)

  return _resize(_decode_window(encoded, window), image_size)


def random_image(encoded, image_size, info, draws, smallest=SMALLEST_CROP):
  """float32 [S, S, 3]: a random crop of an encoded image, mirrored with probability 1/2.

  Args:
    encoded: string [].
    image_size: S, pixels a side.
    info: `imagenet.DatasetInfo`; gives the central crop for an image in which no attempt fits.
    draws: float32 of shape CROP_DRAWS in [0, 1); the first four rows are for `_random_window`, the
      first number of the last for `mirror`.
    smallest: share of the area that a crop has at least, in (0, 1].
  """
  share = info.central_share(image_size)

  def window(height, width):
    return _random_window(height, width, share, draws, smallest)

  return _resize(mirror(_decode_window(encoded, window), draws[4, 0]), image_size)


def mirror(image, draw):
  """[height, width, C]: the image with left and right exchanged where draw (float32 []) < 0.5."""
  return tf.cond(draw < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


def _records(split):
  """Dataset of string []: the serialized records of the split in the order of the files."""
  records = _shared(tf.data.TFRecordDataset(_paths(split)), split)
  first, limit, total = 0, split.count, split.records
  if split.span:
    first, limit, total = split.span.number, split.span.limit, split.span.records
    records = records.skip(split.span.start).take(split.span.stop - split.span.start)
  if limit < total:
    def chosen(_, number):
      return is_chosen(number, limit, total)

    numbered = tf.data.Dataset.zip((records, tf.data.Dataset.range(first, total)))
    records = numbered.filter(chosen).map(lambda record, _: record)
  return records.take(split.count)


def _shared(records, split):
  """Those of the records of a split's files that are its own."""
  index, sharers = split.share
  return records if sharers == 1 else records.shard(sharers, index)


def _paths(split):
  """List of bytes: TensorFlow would encode the paths as strict UTF-8."""
  return [os.fsencode(path) for path in split.files]


def _decode_window(encoded, window):
  """Decodes a part of a JPEG, PNG or still GIF; grey and CMYK images become RGB.

  Args:
    encoded: string [].
    window: function of (height, width), int32 [], that gives int32 [4]: top, left, height, width.

  Returns:
    uint8 [height, width, 3] of the window.
  """
  def jpeg():
    shape = tf.image.extract_jpeg_shape(encoded)
    return tf.image.decode_and_crop_jpeg(encoded, window(shape[0], shape[1]), channels=3)

  def other():
    image = tf.image.decode_png(encoded, channels=3)
    shape = tf.shape(image)
    top, left, height, width = tf.unstack(window(shape[0], shape[1]))
    return image[top:top + height, left:left + width]

  return tf.cond(tf.image.is_jpeg(encoded), jpeg, other)


def _resize(image, image_size):
  """float32 [S, S, 3] from uint8 [height, width, 3], bicubic and not clipped to 0..255."""
  image = tf.image.resize_bicubic(tf.expand_dims(image, 0), [image_size, image_size])[0]
  image.set_shape([image_size, image_size, 3])
  return image


def _blend(images, labels, shares):
  """(images, labels) where every image holds its predecessor to a share (float32 [N])."""
  shares = tf.reshape(shares, [-1, 1, 1, 1])
  return images + shares * (tf.roll(images, 1, 0) - images), labels


def _first_that_fits(attempts, fits, fallback):
  """The first row of attempts ([A, ...]) that fits (bool [A]), else the fallback ([...])."""
  # The fallback stands behind the attempts, so that there is always one that fits.
  attempts = tf.concat([attempts, fallback[tf.newaxis]], axis=0)
  return attempts[tf.argmax(tf.cast(tf.concat([fits, [True]], axis=0), tf.int32))]


def _lesser_share(draws, concentration):
  """float32 [] up to 0.5: the lesser of z and 1 - z, z from Beta(concentration, concentration).

  Jöhnk's method ("Erzeugung von betaverteilten und gammaverteilten Zufallszahlen", 1964). An
  attempt fits in half of the cases or more, unless both of its powers are 0 in float32.

  Args:
    draws: float32 of shape _SHARE_DRAWS in [0, 1), of whose columns the first that fits is taken.
    concentration: in (0, 1].

  Returns:
    The share, 0 where no attempt fits.
  """
  powers = draws ** (1.0 / concentration)
  total = tf.reduce_sum(powers, 0)
  fits = (total > 0) & (total <= 1)
  return _first_that_fits(tf.reduce_min(powers, 0) / total, fits, tf.constant(0.0))


def _central_window(height, width, share):
  """int32 [4]: top, left, height and width of the central square, a share of the shorter side."""
  shorter = tf.cast(tf.minimum(height, width), tf.float32)
  side = tf.maximum(1, tf.cast(share * shorter, tf.int32))
  return tf.stack([(height - side + 1) // 2, (width - side + 1) // 2, side, side])


def _random_window(height, width, share, draws, smallest):
  """int32 [4]: a window of the ratio (width / height) 3/4 to 4/3.

  Args:
    height, width: int32 [], pixels of the image.
    share: of the shorter side, for the central window used when no attempt fits into the image.
    draws: float32 [>= 4, attempts] in [0, 1), of which the first attempt that fits is taken; rows
      are area, ratio, top and left.
    smallest: share of the area that is drawn at least, at most it is 1.
  """
  area = (smallest + (1.0 - smallest) * draws[0]) * tf.cast(height * width, tf.float32)
  ratio = tf.exp((2 * draws[1] - 1) * math.log(4 / 3))
  heights, widths = tf.round(tf.sqrt(area / ratio)), tf.round(tf.sqrt(area * ratio))
  rooms = tf.cast(height, tf.float32) - heights, tf.cast(width, tf.float32) - widths
  fits = (rooms[0] >= 0) & (rooms[1] >= 0) & (heights > 0) & (widths > 0)
  windows = tf.stack([tf.round(draws[2] * rooms[0]), tf.round(draws[3] * rooms[1]),
                      heights, widths], axis=1)
  return _first_that_fits(tf.cast(windows, tf.int32), fits, _central_window(height, width, share))
