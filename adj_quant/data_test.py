import io

import numpy as np
from PIL import Image
import pytest
import tensorflow.compat.v1 as tf

import data
import dataset_utils
import imagenet
from scripts import image_records
from scripts.errors import UserError

SIZE = 8
INFO = imagenet.DatasetInfo('eleven', classes=11, first_label=0)


@pytest.fixture(name='folder')
def eleven_images(tmp_path):
  """Eleven images, the i-th of label i and colour 20 * i, in four files."""
  images = np.arange(11, dtype=np.uint8)[:, None, None, None] * np.full([12, 12, 3], 20, np.uint8)
  image_records.write_records(tmp_path, 'train', images, range(11), 4, 'png')
  imagenet.write_info(tmp_path, INFO)
  return str(tmp_path)


def batches(make_dataset, number=None):
  """The first `number` batches, all without it, of a dataset: a list of (images, labels)."""
  with tf.Graph().as_default(), tf.Session() as session:
    following = tf.data.make_one_shot_iterator(make_dataset()).get_next()
    pairs = []
    while number is None or len(pairs) < number:
      try:
        pairs.append(session.run(following))
      except tf.errors.OutOfRangeError:
        break
    return pairs


def test_a_lack_of_memory_names_the_flags(folder):
  split = dataset_utils.find_split(folder, 'train')
  with pytest.raises(UserError, match='out of memory: lower --batch_size or --pixels$'):
    with data.explained_errors('pixels', split):
      raise tf.errors.ResourceExhaustedError(None, None, 'OOM')
  with pytest.raises(tf.errors.InvalidArgumentError):  # The records are sound.
    with data.explained_errors('pixels', split, split):
      raise tf.errors.InvalidArgumentError(None, None, 'something else')


def evaluation(split, batch_size=4, offset=0):
  return batches(lambda: data.evaluation_batches(split, batch_size, SIZE, offset, threads=2))


def training(split, number, batch_size=11, crop=None, seed=0, threads=2, start=0, mixup=0):
  return batches(lambda: data.training_batches(split, batch_size, SIZE, 0, crop, seed, threads,
                                               start=start, mixup=mixup), number)


def test_evaluation_gives_every_image_once_in_order(folder):
  actual = evaluation(dataset_utils.find_split(folder, 'train'))
  assert [labels.tolist() for _, labels in actual] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
  for images, labels in actual:
    assert images.dtype == np.float32 and labels.dtype == np.int32
    expected = 20.0 * labels[:, None, None, None] * np.ones([SIZE, SIZE, 3])
    np.testing.assert_allclose(images, expected, atol=1e-3)


def test_the_offset_is_subtracted(folder):
  (_, labels), = evaluation(dataset_utils.find_split(folder, 'train'), batch_size=11, offset=1)
  assert labels.tolist() == list(range(-1, 10))


def test_a_limit_is_spread_over_the_split(folder):
  split = dataset_utils.find_split(folder, 'train', limit=3)
  assert [labels.tolist() for _, labels in evaluation(split)] == [[3, 7, 10]]
  assert sorted(training(split, 1, batch_size=3)[0][1]) == [3, 7, 10]


@pytest.mark.parametrize('shuffle_bytes', [data._SHUFFLE_BYTES, 1])
def test_a_limit_above_half_holds_whatever_is_shuffled(folder, monkeypatch, shuffle_bytes):
  monkeypatch.setattr(data, '_SHUFFLE_BYTES', shuffle_bytes)
  split = dataset_utils.find_split(folder, 'train', limit=8)
  chosen = [j for j in range(11) if dataset_utils.is_chosen(j, 8, 11)]
  assert np.concatenate([labels for _, labels in evaluation(split)]).tolist() == chosen
  for _, labels in training(split, 2, batch_size=8):
    assert sorted(labels) == chosen


# A buffer of all records, of two, and of one, which leaves shuffling to the order of the files.
@pytest.mark.parametrize('shuffle_bytes', [data._SHUFFLE_BYTES, 300, 1])
def test_training_shuffles_every_epoch_in_an_order_of_its_seed(folder, monkeypatch, shuffle_bytes):
  monkeypatch.setattr(data, '_SHUFFLE_BYTES', shuffle_bytes)
  split = dataset_utils.find_split(folder, 'train')
  orders = [tuple(labels) for _, labels in training(split, 3, seed=1)]
  for order in orders:
    assert sorted(order) == list(range(11))
  assert len(set(orders + [tuple(range(11))])) == 4
  assert [tuple(labels) for _, labels in training(split, 3, seed=1, threads=1)] == orders
  assert [tuple(labels) for _, labels in training(split, 3, seed=2)] != orders


@pytest.mark.parametrize('shuffle_bytes', [data._SHUFFLE_BYTES, 300, 1])
@pytest.mark.parametrize('start', [4, 11, 12, 40])
def test_training_goes_on_after_the_images_seen(folder, monkeypatch, shuffle_bytes, start):
  monkeypatch.setattr(data, '_SHUFFLE_BYTES', shuffle_bytes)
  split = dataset_utils.find_split(folder, 'train')
  one_by_one = training(split, start + 3, batch_size=1, crop=0.08)[start:]
  actual, = training(split, 1, batch_size=3, crop=0.08, start=start)
  for images, expected in zip(actual, zip(*one_by_one)):
    np.testing.assert_array_equal(images, np.concatenate(expected))


def labels_of(batches):
  return np.concatenate([labels for _, labels in batches]).tolist() if batches else []


@pytest.mark.parametrize('limit', [0, 8, 3])
@pytest.mark.parametrize('slices', [1, 2, 3, 11, 13])
def test_slices_are_the_images_in_their_order(folder, limit, slices):
  split = dataset_utils.find_split(folder, 'train', limit)
  parts = [dataset_utils.slice_of(split, i, slices) for i in range(slices)]
  actual = [labels_of(evaluation(part)) for part in parts]
  assert [len(labels) for labels in actual] == [part.count for part in parts]
  assert sum(actual, []) == labels_of(evaluation(split))


@pytest.mark.parametrize('shuffle_bytes', [data._SHUFFLE_BYTES, 1])
@pytest.mark.parametrize('parts', [1, 2, 3, 4, 5, 8, 11])
def test_replicas_share_no_image_and_miss_none(folder, monkeypatch, shuffle_bytes, parts):
  monkeypatch.setattr(data, '_SHUFFLE_BYTES', shuffle_bytes)
  split = dataset_utils.find_split(folder, 'train')
  if parts == 11:  # Two of them are for the third record of a file of two.
    with pytest.raises(UserError, match='11 images of train are too few for 11 workers and towers'):
      [dataset_utils.part_of(split, i, parts) for i in range(parts)]
    return
  cut = [dataset_utils.part_of(split, i, parts) for i in range(parts)]
  assert sum(part.count for part in cut) == 11
  seen = [labels_of(training(part, part.count, batch_size=1)) for part in cut]
  assert sorted(sum(seen, [])) == list(range(11))


def test_files_are_dealt_out_whole_where_there_are_enough(folder):
  split = dataset_utils.find_split(folder, 'train')
  parts = [dataset_utils.part_of(split, i, 3) for i in range(3)]
  assert [part.files for part in parts] == [split.files[0::3], split.files[1::3], split.files[2::3]]
  assert sum((part.by_file for part in parts), ()) == tuple(
      split.by_file[i] for i in (0, 3, 1, 2))


def test_a_limited_split_gives_parts_in_proportion(folder):
  split = dataset_utils.find_split(folder, 'train', limit=8)
  for i in range(2):
    part = dataset_utils.part_of(split, i, 2)
    assert part.count == 8 * part.records // 11 and part.records == sum(part.by_file)


def test_replicas_cut_their_images_by_other_numbers(tmp_path):
  pixels = np.random.RandomState(1).randint(0, 256, [1, 40, 30, 3]).astype(np.uint8)
  image_records.write_records(tmp_path, 'train', pixels, [1])
  split = dataset_utils.find_split(str(tmp_path), 'train')
  crops = [batches(lambda: data.training_batches(
      split, 5, SIZE, 0, 0.08, seed=0, threads=1, replica=replica), 1)[0][0]
           for replica in ((0, 2), (1, 2))]
  assert len({image.tobytes() for images in crops for image in images}) == 10


def test_joined_batches_are_one_after_the_other(folder):
  split = dataset_utils.find_split(folder, 'train')
  parts = [dataset_utils.part_of(split, i, 2) for i in range(2)]

  def dataset(part):
    return data.training_batches(part, 2, SIZE, 0, None, seed=0, threads=1)

  joined = batches(lambda: data.joined_batches([dataset(part) for part in parts]), 3)
  single = [batches(lambda: dataset(part), 3) for part in parts]
  for (images, labels), own in zip(joined, zip(*single)):
    np.testing.assert_array_equal(images, np.concatenate([each[0] for each in own]))
    assert labels.tolist() == labels_of(own)


def test_a_record_without_label_does_not_pass_for_label_0(folder):
  record = tf.train.Example.FromString(image_records.example(b'', 3))
  record.features.feature[imagenet.LABEL_KEY].int64_list.value[:] = []
  image_records.write_examples(folder, 'validation', [image_records.example(b'', 3),
                                                      record.SerializeToString()])
  split = dataset_utils.find_split(folder, 'validation')
  with pytest.raises(tf.errors.InvalidArgumentError):
    batches(lambda: data.shuffled_records(split, 0).map(
        lambda record: imagenet.parse_record(record, INFO)[1]))


def gif(colours):
  """bytes of a GIF of 16 by 12 pixels: a frame of each colour."""
  frames = [Image.new('RGB', (16, 12), colour) for colour in colours]
  stream = io.BytesIO()
  frames[0].save(stream, 'GIF', save_all=True, append_images=frames[1:])
  return stream.getvalue()


def test_still_gifs_are_read_and_animated_ones_named(tmp_path):
  imagenet.write_info(tmp_path, INFO)
  paths = image_records.write_examples(tmp_path, 'train', [
      image_records.example(gif([(40, 200, 0)]), 1)])
  split = dataset_utils.find_split(str(tmp_path), 'train')
  for images, _ in evaluation(split) + training(split, 1, batch_size=1, crop=0.08):
    np.testing.assert_allclose(images[0], np.full([SIZE, SIZE, 3], 1.0) * [40, 200, 0], atol=1e-3)
  image_records.write_examples(tmp_path, 'train', [
      image_records.example(gif([(40, 200, 0), (0, 0, 0)]), 1)])
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    evaluation(split)
  assert str(data.data_error(error.value, split)) == (
      '%s: record 0 (byte 0) holds an image that cannot be decoded as JPEG, PNG or still GIF, make '
      'it again or remove it' % paths[0])


def test_images_that_were_seen_are_not_decoded(tmp_path):
  image_records.write_records(tmp_path, 'train', np.zeros([3, 9, 9, 3], np.uint8), range(1, 4))
  path, = tmp_path.glob('train-*')
  split = dataset_utils.find_split(str(tmp_path), 'train')
  first = training(split, 1, batch_size=1)[0][1][0]
  examples = [tf.train.Example.FromString(record)
              for record in tf.python_io.tf_record_iterator(str(path))]
  with tf.python_io.TFRecordWriter(str(path)) as writer:
    for label, example in enumerate(examples, 1):
      if label == first:
        example.features.feature[imagenet.IMAGE_KEY].bytes_list.value[0] = b'no image'
      writer.write(example.SerializeToString())
  assert len(training(split, 2, batch_size=1, start=1)) == 2
  with pytest.raises(tf.errors.InvalidArgumentError):
    training(split, 1, batch_size=1)


def test_files_read_in_parallel_come_in_the_same_order(folder, monkeypatch):
  monkeypatch.setattr(data, '_SHUFFLE_BYTES', 300)
  split = dataset_utils.find_split(folder, 'train')
  orders = [batches(lambda: data.shuffled_records(split, 3, readers).repeat(2))
            for readers in (None, 1, 4, 32)]  # TensorFlow has at most as many as files in turn.
  assert len(orders[0]) == 22 and all(order == orders[0] for order in orders)


def test_training_batches_are_full_and_cross_epochs(folder):
  split = dataset_utils.find_split(folder, 'train')
  actual = training(split, 11, batch_size=4)
  assert np.bincount(np.concatenate([labels for _, labels in actual])).tolist() == [4] * 11
  with tf.Graph().as_default():
    dataset = data.training_batches(split, 4, SIZE, 0, crop=0.08, seed=0, threads=1)
    images, labels = tf.data.make_one_shot_iterator(dataset).get_next()
  assert images.shape == (4, SIZE, SIZE, 3) and labels.shape == (4,)


def test_batches_keep_image_and_label_together(folder):
  (images, labels), = training(dataset_utils.find_split(folder, 'train'), 1, crop=0.08)
  np.testing.assert_allclose(images[:, 0, 0, 0], 20.0 * labels, atol=1e-3)


def test_crops_depend_on_the_seed_and_not_on_threads(tmp_path):
  pixels = np.random.RandomState(1).randint(0, 256, [1, 40, 30, 3]).astype(np.uint8)
  image_records.write_records(tmp_path, 'train', pixels, [1])
  split = dataset_utils.find_split(str(tmp_path), 'train')

  def images(**options):
    (batch, _), = training(split, 1, 18, **options)
    return batch

  augmented = images(crop=0.08, seed=7)
  np.testing.assert_array_equal(augmented, images(crop=0.08, seed=7, threads=1))
  assert not np.array_equal(augmented, images(crop=0.08, seed=8))
  assert len({image.tobytes() for image in augmented}) == 18
  assert len({image.tobytes() for image in images(crop=None)}) == 1


@pytest.mark.parametrize('crop', [None, 0.5])
def test_mixup_blends_neighbours_by_the_number_of_the_image(folder, crop):
  split = dataset_utils.find_split(folder, 'train')
  plain, mixed = (training(split, 3, batch_size=5, crop=crop, mixup=mixup) for mixup in (0, 0.4))
  for (images, labels), (blends, their_labels) in zip(plain, mixed):
    np.testing.assert_array_equal(their_labels, labels)
    neighbours = images[[4, 0, 1, 2, 3]]
    shares = (blends - images)[:, 0, 0, 0] / (neighbours - images)[:, 0, 0, 0]
    assert len(np.unique(shares)) == 5 and (0 <= shares).all() and (shares <= 0.5).all()
    np.testing.assert_allclose(
        blends, images + shares[:, None, None, None] * (neighbours - images), atol=1e-3)
  (images, labels), = training(split, 1, batch_size=5, crop=crop, start=5, threads=1, mixup=0.4)
  np.testing.assert_array_equal(images, mixed[1][0])
  np.testing.assert_array_equal(labels, mixed[1][1])


@pytest.mark.parametrize('concentration', [0.4, 1.0])
def test_shares_are_the_lesser_of_beta(concentration):
  random = np.random.RandomState(0)
  draws = random.uniform(size=(2000,) + data._SHARE_DRAWS).astype(np.float32)
  shares = preprocess(
      lambda rows: tf.map_fn(lambda row: data._lesser_share(row, concentration), rows), draws)
  expected = random.beta(concentration, concentration, 100000)
  expected = np.minimum(expected, 1 - expected)
  np.testing.assert_allclose(np.quantile(shares, [0.2, 0.4, 0.6, 0.8]),
                             np.quantile(expected, [0.2, 0.4, 0.6, 0.8]), atol=0.02)


@pytest.mark.parametrize('draw, concentration', [(0.9, 1.0), (0.5, 1e-4)])
def test_the_share_is_0_where_no_attempt_fits(draw, concentration):
  draws = np.full(data._SHARE_DRAWS, draw, np.float32)
  assert preprocess(data._lesser_share, draws, concentration) == 0


def preprocess(function, encoded, *arguments):
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(function(tf.constant(encoded), *arguments))


@pytest.mark.parametrize('image_format, tolerance', [('png', 0), ('jpeg', 12)])
def test_the_central_square_is_cut_out(image_format, tolerance):
  # A side of 8 / (8 + 32) * 40 = 8 pixels, which the resizing leaves as they are; of the 32 and 43
  # pixels around it 16 and (43 + 1) // 2 = 22 go to the top and to the left.
  ramp = 3 * np.arange(40)[:, None, None] + 2 * np.arange(51)[None, :, None]
  pixels = (ramp + np.zeros([1, 1, 3])).astype(np.uint8)
  encoded, = image_records.encode([pixels], image_format)
  actual = preprocess(data.central_image, encoded, SIZE, INFO)
  np.testing.assert_allclose(actual, pixels[16:24, 22:30], atol=tolerance)


def test_the_crop_rounds_down_and_resizing_is_not_clipped():
  # int(8 / 40 * 39) = 7 pixels from (39 - 7 + 1) // 2 = 16 on.
  with tf.Graph().as_default(), tf.Session() as session:
    window = session.run(data._central_window(tf.constant(39), tf.constant(41), 8 / 40))
  assert window.tolist() == [16, 17, 7, 7]
  edge = np.zeros([20, 20, 3], np.uint8)
  edge[:, 10:] = 255
  actual = preprocess(data.central_image, image_records.encode([edge], 'png')[0], SIZE, INFO)
  assert actual.min() < -1 and actual.max() > 256


def test_a_set_may_say_which_share_is_central():
  # int(0.5 * 11) = 5 pixels from (11 - 5 + 1) // 2 = 3 and (16 - 5 + 1) // 2 = 6 on.
  pixels = np.random.RandomState(0).randint(0, 256, [11, 16, 3]).astype(np.uint8)
  encoded, = image_records.encode([pixels], 'png')
  actual = preprocess(data.central_image, encoded, 5, INFO._replace(central_crop=0.5))
  np.testing.assert_array_equal(actual, pixels[3:8, 6:11])
  actual = preprocess(data.central_image, encoded, 11, INFO._replace(central_crop=1.0))
  np.testing.assert_array_equal(actual, pixels[:, 3:14])


def test_both_splits_take_the_central_crop_of_their_set(tmp_path):
  pixels = np.zeros([1, 16, 16, 3], np.uint8)
  pixels[0, 4:12, 4:12] = 200
  image_records.write_records(tmp_path, 'train', pixels, [0], image_format='png')
  shares = {}
  for crop in (0.5, 1.0):
    imagenet.write_info(tmp_path, INFO._replace(central_crop=crop))
    split = dataset_utils.find_split(str(tmp_path), 'train')
    (evaluated, _), = evaluation(split)
    (trained, _), = training(split, 1, batch_size=1)
    np.testing.assert_array_equal(evaluated, trained)
    shares[crop] = evaluated.mean() / 200
  assert shares[0.5] == 1.0 and abs(shares[1.0] - 0.25) < 0.01


def test_an_image_of_one_pixel_is_enlarged():
  encoded, = image_records.encode([np.full([1, 1, 3], 9)], 'png')
  np.testing.assert_allclose(preprocess(data.central_image, encoded, SIZE, INFO), 9.0, atol=1e-4)


@pytest.mark.parametrize('image_format', ['png', 'jpeg'])
def test_a_grey_image_becomes_rgb(image_format):
  encoded, = image_records.encode([np.full([16, 16, 1], 77)], image_format)
  actual = preprocess(data.central_image, encoded, SIZE, INFO)
  assert actual.shape == (SIZE, SIZE, 3)
  np.testing.assert_allclose(actual, 77.0, atol=1e-3)


def cmyk_jpeg():
  """An 8 x 8 JPEG of four components, all coefficients 0 and so every sample 128 of 0..255."""
  def segment(marker, body):
    return bytes([0xff, marker]) + (len(body) + 2).to_bytes(2, 'big') + bytes(body)

  one_code = [1] + [0] * 15 + [0]  # One code, '0': no difference (DC) or end of block (AC).
  components = range(1, 5)
  frame = [8, 0, 8, 0, 8, 4] + [value for index in components for value in (index, 0x11, 0)]
  scan = [4] + [value for index in components for value in (index, 0)] + [0, 63, 0]
  tables = segment(0xdb, [0] + [1] * 64) + segment(0xc4, [0x00] + one_code + [0x10] + one_code)
  return (b'\xff\xd8' + tables + segment(0xc0, frame) + segment(0xda, scan) + b'\0' + b'\xff\xd9')


def test_a_cmyk_jpeg_becomes_rgb():
  actual = preprocess(data.central_image, cmyk_jpeg(), SIZE, INFO)
  np.testing.assert_allclose(actual, np.full([SIZE, SIZE, 3], 127 * 127 // 255), atol=1.0)


def random_window(height, width, draws, smallest=0.08):
  with tf.Graph().as_default(), tf.Session() as session:
    window = data._random_window(tf.constant(height), tf.constant(width), 96 / 128,
                                 tf.constant(draws, tf.float32), smallest)
    return session.run(window).tolist()


def test_the_random_window_by_hand():
  # Area 0.08 + 0.92 * 0.25 = 0.31 of 10,000 and ratio 1: 55.7 -> 56 pixels a side, 44 are left.
  square = [[0.25], [0.5], [0.5], [0.75], [0.0]]
  assert random_window(100, 100, square) == [22, 33, 56, 56]
  # From a half on it is 0.5 + 0.5 * 0.28 = 0.64 of the area.
  assert random_window(100, 100, [[0.28], [0.5], [0.5], [0.75], [0.0]], 0.5) == [10, 15, 80, 80]
  # Ratio 4/3: sqrt(3100 * 3/4) = 48.2 high, sqrt(3100 * 4/3) = 64.3 wide, at the far corner.
  assert random_window(100, 100, [[0.25], [1.0], [1.0], [1.0], [0.0]]) == [52, 36, 48, 64]


def test_the_first_window_that_fits_is_taken():
  # The whole area at ratio 4/3 does not fit into a square.
  draws = [[1.0, 0.25, 0.0], [1.0, 0.5, 0.5], [0.0] * 3, [0.0] * 3, [0.0] * 3]
  assert random_window(100, 100, draws) == [0, 0, 56, 56]


def test_an_image_in_which_nothing_fits_gives_the_central_window():
  # The least area, 0.08 * 10,000, is 28 pixels high at ratio 1. int(96 / 128 * 10) = 7.
  assert random_window(10, 1000, [[0.0], [0.5], [0.0], [0.0], [0.0]]) == [2, 497, 7, 7]


def test_random_windows_lie_in_the_image():
  with tf.Graph().as_default(), tf.Session() as session:
    draws = tf.placeholder(tf.float32, [4, 10])
    window = data._random_window(tf.constant(37), tf.constant(23), 0.75, draws, 0.08)
    for values in np.random.RandomState(3).rand(200, 4, 10):
      top, left, height, width = session.run(window, {draws: values})
      assert top >= 0 and left >= 0 and top + height <= 37 and left + width <= 23
      assert 0.06 * 37 * 23 < height * width
      assert 0.6 < width / height < 1.6


@pytest.mark.parametrize('draw, mirrored', [(0.49, True), (0.5, False)])
def test_half_of_the_images_are_mirrored(draw, mirrored):
  pixels = (10 * np.arange(SIZE)[None, :, None] + np.zeros([SIZE, 1, 3])).astype(np.uint8)
  encoded, = image_records.encode([pixels], 'png')
  # Area 1 and ratio 1: the whole image.
  draws = np.array([[1.0], [0.5], [0.0], [0.0], [draw]], np.float32)
  actual = preprocess(data.random_image, encoded, SIZE, INFO, draws)
  np.testing.assert_allclose(actual, pixels[:, ::-1] if mirrored else pixels, atol=1e-3)


def failure(folder, examples):
  """The error that reading `examples` raises, and what `data_error` makes of it."""
  image_records.write_examples(folder, 'train', examples)
  split = dataset_utils.find_split(str(folder), 'train')
  with pytest.raises(tf.errors.OpError) as error:
    evaluation(split)
  return error.value, data.data_error(error.value, split)


def test_a_wrong_label_fails_the_run_and_is_named(tmp_path):
  png, = image_records.encode([np.zeros([9, 9, 3])], 'png')
  examples = [image_records.example(png, label) for label in (1, 1000, 0)]
  error, named = failure(tmp_path, examples)
  assert '[0]' in error.message and 'allowed are 1 to 1000' in error.message
  assert isinstance(named, UserError)
  assert 'record 2' in str(named) and 'has the label 0, outside 1 to 1000' in str(named)


def test_an_undecodable_image_is_named(tmp_path):
  _, named = failure(tmp_path, [image_records.example(b'\xff\xd8\xff no image', 1)])
  assert isinstance(named, UserError)
  assert 'record 0 (byte 0) holds an image that cannot be decoded' in str(named)


def test_an_error_that_is_not_of_the_data_stays_itself(folder, monkeypatch):
  split = dataset_utils.find_split(folder, 'train')
  error = tf.errors.InvalidArgumentError(None, None, 'of the network')
  assert data.data_error(error, split) is error
  monkeypatch.setattr(data, 'diagnose', lambda _: pytest.fail('searched for nothing'))
  error = tf.errors.ResourceExhaustedError(None, None, 'of the memory')
  assert data.data_error(error, split) is error
