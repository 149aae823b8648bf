"""Tests of the weights files: what loads, what is refused and with which words."""

import collections
import hashlib
import os
import pickle
import re
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from scripts.effnetb0 import unpickling
from scripts.effnetb0.architecture import Architecture, Block, EFFICIENTNET_B0, layers
from scripts.effnetb0.weights import LayerWeights, load_weights, save_weights
from scripts.errors import UserError
from scripts.paths import ADJ_QUANT, FLOAT_WEIGHTS

TINY = Architecture('tiny', 8, stem=4, blocks=(Block(1, 3, 1, 4, 4), Block(2, 3, 2, 4, 6)), head=8)


def count_up(shape):
  return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def content(classes=10):
  """A right file's content: in every array 0, 1, 2, ..."""
  return {layer.file_name: {'weights': count_up(layer.weights_shape),
                            'bias': count_up([layer.outputs])}
          for layer in layers(TINY, 8, classes)}


def write(folder, data, name='w.pickle'):
  path = str(folder / name)
  with open(path, 'wb') as stream:
    stream.write(data)
  return path


def refusal(path, architecture=TINY):
  """The message with which the file is refused: one line that names it."""
  with pytest.raises(UserError) as caught:
    load_weights(path, architecture)
  message = str(caught.value)
  assert path in message and '\n' not in message
  return message


def assert_counts_up(weights):
  for layer in weights.values():
    for values in layer:
      assert values.dtype == np.float32 and values.flags.c_contiguous
      np.testing.assert_array_equal(values, count_up(values.shape))


class Python2Pickler(pickle._Pickler):
  """Writes bytes and text as Python 2 did: both as 8-bit strings."""
  dispatch = dict(pickle._Pickler.dispatch)

  def save_string(self, value):
    data = value if isinstance(value, bytes) else value.encode('latin1')
    self.write(pickle.BINSTRING + struct.pack('<i', len(data)) + data)
    self.memoize(value)

  dispatch[bytes] = dispatch[str] = save_string


class TestLoad:

  @pytest.mark.parametrize('protocol', range(5))
  def test_every_protocol(self, tmp_path, protocol):
    path = write(tmp_path, pickle.dumps(content(), protocol))
    weights, classes = load_weights(path, TINY)
    assert classes == 10
    assert list(weights) == [
        'Conv', 'expanded_conv_0/dws', 'expanded_conv_0/se_1', 'expanded_conv_0/se_2',
        'expanded_conv_0/project', 'expanded_conv_1/expand', 'expanded_conv_1/dws',
        'expanded_conv_1/se_1', 'expanded_conv_1/se_2', 'expanded_conv_1/project', 'Conv_1',
        'output']
    assert weights['expanded_conv_1/dws'].weights.shape == (3, 3, 8, 1)
    assert_counts_up(weights)

  def test_file_of_python_2(self, tmp_path):
    path = str(tmp_path / 'w.pickle')
    with open(path, 'wb') as stream:
      Python2Pickler(stream, protocol=2).dump(content())
    with open(path, 'rb') as stream:
      with pytest.raises(UnicodeDecodeError):  # So it is a file that only `latin1` reads.
        pickle.load(stream)
    assert_counts_up(load_weights(path, TINY)[0])

  @pytest.mark.parametrize('module', [b'numpy.core.multiarray', b'numpy._core.multiarray'])
  def test_file_of_numpy_1_and_2(self, tmp_path, module):
    data, replaced = re.subn(br'numpy\._?core\.multiarray', module, pickle.dumps(content(), 2))
    assert replaced
    assert_counts_up(load_weights(write(tmp_path, data), TINY)[0])

  @pytest.mark.parametrize('protocol', range(5))
  def test_ordered_dicts(self, tmp_path, protocol):
    stored = collections.OrderedDict(
        (name, collections.OrderedDict(entry)) for name, entry in content().items())
    assert_counts_up(load_weights(write(tmp_path, pickle.dumps(stored, protocol)), TINY)[0])

  def test_ordered_dict_of_python_2(self, tmp_path):
    class Ordered(collections.OrderedDict):
      def __reduce__(self):
        return collections.OrderedDict, ([list(item) for item in self.items()],)
    path = write(tmp_path, pickle.dumps(Ordered(content()), 2))
    assert_counts_up(load_weights(path, TINY)[0])

  @pytest.mark.parametrize('dtype', ['<f4', '>f4', '<f8', '>f8'])
  def test_floats_of_any_order_become_float32(self, tmp_path, dtype):
    stored = content()
    stored['Conv']['weights'] = np.asfortranarray(stored['Conv']['weights'].astype(dtype))
    assert_counts_up(load_weights(write(tmp_path, pickle.dumps(stored, 2)), TINY)[0])

  @pytest.mark.parametrize('shape', [(8, 1001), (1, 1, 8, 1001)])
  def test_classifier_of_1001_classes(self, tmp_path, shape):
    stored = content(1001)
    stored['output']['weights'] = stored['output']['weights'].reshape(shape)
    weights, classes = load_weights(write(tmp_path, pickle.dumps(stored, 2)), TINY)
    assert classes == 1001
    assert weights['output'].weights.shape == (1, 1, 8, 1001)
    assert weights['output'].weights[0, 0, 1, 0] == 1001

  def test_architecture_without_squeeze_excite(self, tmp_path):
    stored = {name: entry for name, entry in content().items() if '/se_' not in name}
    path = write(tmp_path, pickle.dumps(stored, 2))
    assert len(load_weights(path, TINY._replace(se_ratio=None))[0]) == 8


class TestSave:

  def test_round_trip(self, tmp_path):
    first, second = str(tmp_path / 'a'), str(tmp_path / 'b')
    weights, _ = load_weights(write(tmp_path, pickle.dumps(content(), 4)), TINY)
    save_weights(first, weights)
    save_weights(second, load_weights(first, TINY)[0])
    with open(first, 'rb') as one, open(second, 'rb') as other:
      assert one.read() == other.read()
    assert_counts_up(load_weights(second, TINY)[0])

  def test_plain_pickle_reads_the_format(self, tmp_path):
    path = str(tmp_path / 'w')
    save_weights(path, load_weights(write(tmp_path, pickle.dumps(content(), 2)), TINY)[0])
    with open(path, 'rb') as stream:
      stored = pickle.load(stream)
    assert list(stored) == [layer.file_name for layer in layers(TINY, 8, 10)]
    assert list(stored)[1] == 'expanded_conv/dws'
    assert stored['Conv']['weights'].dtype == np.float32
    np.testing.assert_array_equal(stored['Conv']['bias'], [0, 1, 2, 3])

  @pytest.mark.parametrize('convert', [
      np.asfortranarray, lambda values: values.astype('f8'),
      lambda values: values.astype(np.dtype('f4').newbyteorder('<')),
      lambda values: np.stack([values, values], -1)[..., 0]])
  def test_bytes_depend_on_values_only(self, tmp_path, convert):
    names = ['Conv', 'expanded_conv_0/dws']
    kernel, bias = count_up([3, 3, 3, 4]), count_up([4])
    save_weights(str(tmp_path / 'a'), {name: LayerWeights(kernel, bias) for name in names})
    save_weights(str(tmp_path / 'b'),
                 {name: LayerWeights(convert(kernel), convert(bias)) for name in names})
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


class TestRefusesForeignObjects:

  @pytest.mark.parametrize('protocol', range(5))
  def test_call_is_not_made(self, tmp_path, protocol):
    class Command:
      def __reduce__(self):
        return os.mkdir, (str(tmp_path / 'made'),)
    path = write(tmp_path, pickle.dumps({'Conv': Command()}, protocol))
    assert 'asks for %s.mkdir, which no weights file needs' % os.name in refusal(path)
    assert not (tmp_path / 'made').exists()

  @pytest.mark.parametrize('value, name', [
      (np.float32, 'numpy.float32'), (eval, 'eval'), (UserError('x'), 'scripts.errors.UserError'),
      (np.ma.masked_array([1.0]), 'numpy.ma.core'), (np.memmap, 'numpy.memmap'),
      (np.load, 'load')])
  def test_names_the_global(self, tmp_path, value, name):
    message = refusal(write(tmp_path, pickle.dumps({'Conv': value}, 2)))
    assert name in message and 'which no weights file needs' in message

  def test_object_array(self, tmp_path):
    stored = content()
    stored['Conv']['bias'] = np.array([1.0, None, 'x', 2], dtype=object)
    message = refusal(write(tmp_path, pickle.dumps(stored, 2)))
    assert message.endswith('layer Conv bias: found dtype O8, expected float32 (f4)')

  def test_array_whose_data_are_a_list(self, tmp_path):
    stored = content()
    stored['Conv']['bias'] = np.array([None] * 4)
    data = pickle.dumps(stored, 2).replace(b'O8', b'f4').replace(b'|', b'<')
    assert 'layer Conv bias: its data do not fill shape [4]' in refusal(write(tmp_path, data))

  def test_encoding_that_stores_no_bytes(self, tmp_path):
    data = pickle.dumps(content(), 2).replace(b'latin1', b'rot_13')
    assert 'bytes stored as rot_13' in refusal(write(tmp_path, data))


MANY = 10**6  # Of operations that each take a byte and make an object of up to 240.
TEXT = pickle.BINUNICODE + struct.pack('<I', 10**6) + b'x' * 10**6 + pickle.BINPUT + b'\0'
ENCODED = (TEXT + b'c_codecs\nencode\n' + pickle.BINPUT + b'\1'
           + b'h\1h\0X\6\0\0\0latin1\x86R' * 10**4 + b'.')
# A tuple of twice the tuple before, and so on: to hash or print the last takes 2 ** 100 steps.
NESTED = b'K\1' + b''.join(b'q%c0h%ch%c\x86' % (i, i, i) for i in range(100))
DIGITS = b'9' * 10**6
ARRAY = b'cnumpy\nndarray\n(K\1K\2K\3tR(K\1%scnumpy\ndtype\nX\2\0\0\0f4\x85R\x89X\0\0\0\0tb.'
LINES = b'c' + b'm' * 10**6 + b'\n' + b'n' * 10**6 + b'\n.'
HOSTILE = {
    'setitem': (b'}' + NESTED + b'K\1s.', 'a tuple instead of a name'),
    'setitems': (b'}(' + NESTED + b'K\1u.', 'a tuple instead of a name'),
    'dict': (b'(' + NESTED + b'K\1d.', 'a tuple instead of a name'),
    'ordered dict': (b'ccollections\nOrderedDict\n(((' + NESTED + b'K\1tttR.',
                     'a tuple instead of a name'),
    'dtype': (b'cnumpy\ndtype\n' + NESTED + b'\x85R.', 'a tuple instead of a name'),
    'dtypes that grow': (b'cnumpy\ndtype\nX\2\0\0\0f4\x85R(K\3' + TEXT + b't'
                         + pickle.BINPUT + b'\2b' + b'h\2b' * 10**4 + b'.', 'of 1000000 letters'),
    'encoding': (b'c_codecs\nencode\n(X\1\0\0\0x' + NESTED + b'tR.', 'a tuple instead of a name'),
    'axis': (ARRAY % (b'(' + pickle.LONG4 + struct.pack('<i', 10**6) + b'\x7f' * 10**6 + b't'),
             'holds a StoredArray'),
    'set': (b'\x8f(' + NESTED + b'\x90.', 'it has the operation EMPTY_SET'),
    'frozen set': (b'(' + NESTED + b'\x91.', 'it has the operation FROZENSET'),
    'obj': (b'(cnumpy\nndarray\no.', 'it has the operation OBJ'),
    'inst': (b'(inumpy\nndarray\n.', 'it has the operation INST'),
    'persistent': (b'Pname\n.', 'it has the operation PERSID'),
    'extension': (b'\x82\1.', 'it has the operation EXT1'),
    'attribute of a class': (b'cnumpy\nndarray\n}X\1\0\0\0aK\1sb.', 'a state for a type'),
    'call': (b'cnumpy\nndarray\n(K\1K\2K\3tR(K\1tR.', 'a call of a StoredArray'),
    'int': (b'I' + DIGITS + b'\n.', 'a number of 1000001 digits'),
    'long': (b'L' + DIGITS + b'L\n.', 'a number of 1000002 digits'),
    'put': (b'K\1p' + DIGITS + b'\n.', 'a number of 1000001 digits'),
    'get': (b'g' + DIGITS + b'\n.', 'a number of 1000001 digits'),
    'many dicts': (b'}' * MANY + b'.', 'more than 200000 operations'),
    'many marks': (b'(' * MANY + b'.', 'more than 200000 operations'),
    'announced bytes': (pickle.BINBYTES8 + struct.pack('<Q', 2**40) + b'x.', 'is torn'),
    'announced number': (pickle.LONG4 + struct.pack('<i', 2**31 - 1) + b'x.', 'is torn'),
    'announced frame': (b'\x80\4' + pickle.FRAME + struct.pack('<Q', 2**40) + b'N.',
                        'holds a NoneType'),
    'long name': (LINES, 'which no weights file needs'),
    'long key': (b'}' + TEXT + b'K\1s.', 'lacks Conv'),
    'encoded': (ENCODED, 'holds a _StoredBytes')}


class TestHostileFiles:
  """Each is refused with one line, soon and without much memory."""

  @pytest.mark.parametrize('kind', sorted(HOSTILE))
  def test_refused_soon(self, tmp_path, kind):
    data, message = HOSTILE[kind]
    path, began = write(tmp_path, data), time.time()
    text = refusal(path)
    assert message in text and len(text) < len(path) + 300
    assert time.time() - began < 20

  @pytest.mark.skipif(not os.path.exists('/proc/self/statm'), reason='needs Linux')
  def test_memory(self, tmp_path):
    """A process that may take 300 MB more than it has at its start refuses all of them."""
    code = """
import resource, sys
from scripts.effnetb0 import unpickling
from scripts.effnetb0.architecture import EFFICIENTNET_B0
from scripts.effnetb0.weights import load_weights
from scripts.errors import UserError
pages = int(open('/proc/self/statm').read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 300 * 2**20,) * 2)
for path in sys.argv[1:]:
  try:
    load_weights(path, EFFICIENTNET_B0)
  except UserError as error:
    print('MemoryError' in str(error))
"""
    paths = [write(tmp_path, data, str(number))
             for number, (data, _) in enumerate(HOSTILE.values())]
    said = subprocess.check_output([sys.executable, '-c', code] + paths, cwd=ADJ_QUANT)
    assert said.decode().split() == ['False'] * len(HOSTILE)

  def test_an_axis_of_millions_of_digits_can_be_printed(self):
    data, _ = HOSTILE['axis']
    assert unpickling.load_pickle(data).shape == (2**62,)

  def test_protocol_5(self, tmp_path):
    path = write(tmp_path, b'\x80\x05' + pickle.dumps(content(), 4)[2:])
    assert 'it is a pickle of protocol 5: write it again with pickle.dump(' in refusal(path)

  @pytest.mark.parametrize('code', [b'\x96', b'\x97', b'\x98'])
  def test_operations_of_protocol_5(self, tmp_path, code):
    path = write(tmp_path, b'\x80\x04' + code + b'\xff' * 7 + b'\x7f.')
    assert 'of protocol 5, which no weights file needs' in refusal(path)


class TestRefusesWrongStructure:

  def refusal_after(self, tmp_path, change):
    stored = content()
    change(stored)
    return refusal(write(tmp_path, pickle.dumps(stored, 4)))

  def test_missing_layers(self, tmp_path):
    message = self.refusal_after(tmp_path, lambda stored: stored.pop('expanded_conv/dws'))
    assert message.endswith('lacks expanded_conv/dws')

  def test_many_missing_layers_are_counted(self, tmp_path):
    message = self.refusal_after(tmp_path, lambda stored: stored.clear())
    assert message.endswith('lacks Conv, expanded_conv/dws, expanded_conv/se_1 and 9 more')

  def test_unknown_layer(self, tmp_path):
    message = self.refusal_after(tmp_path, lambda stored: stored.update({'expanded_conv_2/x': {}}))
    assert message.endswith('has unknown expanded_conv_2/x')

  def test_other_architecture(self, tmp_path):
    path = write(tmp_path, pickle.dumps(content(), 2))
    assert 'expanded_conv_1/dws' not in refusal(path, EFFICIENTNET_B0)
    assert 'lacks expanded_conv_2/expand, ' in refusal(path, EFFICIENTNET_B0)

  def test_missing_bias(self, tmp_path):
    message = self.refusal_after(tmp_path, lambda stored: stored['Conv_1'].pop('bias'))
    assert message.endswith('layer Conv_1 lacks bias')

  def test_layer_without_dict(self, tmp_path):
    message = self.refusal_after(tmp_path, lambda stored: stored.update(Conv=[1.0]))
    assert message.endswith('layer Conv holds a list instead of a dict')

  def test_number_instead_of_array(self, tmp_path):
    message = self.refusal_after(tmp_path, lambda stored: stored['output'].update(weights=1.0))
    assert message.endswith('layer output: weights is not an array')

  def test_list_instead_of_dict(self, tmp_path):
    assert 'holds a list instead of a dict' in refusal(write(tmp_path, pickle.dumps([], 2)))

  def test_wrong_shape(self, tmp_path):
    message = self.refusal_after(
        tmp_path, lambda stored: stored['expanded_conv/dws'].update(weights=np.zeros([3, 3, 1, 4])))
    assert message.endswith(
        'layer expanded_conv/dws weights: found shape [3, 3, 1, 4], expected [3, 3, 4, 1]')

  @pytest.mark.parametrize('shape', [(), (10,), (9, 10), (8, 0), (2, 1, 8, 10)])
  def test_wrong_classifier(self, tmp_path, shape):
    message = self.refusal_after(
        tmp_path, lambda stored: stored['output'].update(weights=np.zeros(shape)))
    assert 'layer output: weights have shape' in message
    assert message.endswith('expected [8, classes] or [1, 1, 8, classes]')

  def test_classifier_bias_of_other_length(self, tmp_path):
    message = self.refusal_after(
        tmp_path, lambda stored: stored['output'].update(bias=np.zeros([11])))
    assert message.endswith('layer output bias: found shape [11], expected [10]')

  @pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e39])
  def test_not_finite(self, tmp_path, value):
    message = self.refusal_after(
        tmp_path, lambda stored: stored['Conv'].update(bias=np.array([0, value, 2, 3])))
    assert message.endswith('layer Conv bias: 1 of 4 values are not finite')

  @pytest.mark.parametrize('dtype, code', [('i4', '<i4'), ('bool', 'b1'), ('c8', '<c8'),
                                           ('f2', '<f2'), ('S4', 'S4')])
  def test_wrong_dtype(self, tmp_path, dtype, code):
    message = self.refusal_after(
        tmp_path, lambda stored: stored['Conv'].update(bias=np.zeros([4], dtype)))
    assert message.endswith('layer Conv bias: found dtype %s, expected float32 (f4)' % code)


class TestRefusesDamagedFiles:

  def test_missing(self, tmp_path):
    assert 'cannot read' in refusal(str(tmp_path / 'none'))

  def test_folder(self, tmp_path):
    assert 'cannot read' in refusal(str(tmp_path))

  @pytest.mark.parametrize('protocol', [0, 2, 4])
  def test_torn_anywhere(self, tmp_path, protocol):
    data = pickle.dumps(content(), protocol)
    for length in range(0, len(data), 97):
      refusal(write(tmp_path, data[:length]))

  @pytest.mark.parametrize('data', [b'', b'{"Conv": 1}', b'\x00' * 100, b'\x80\x09K\x01.',
                                    b'\x89HDF\r\n\x1a\n', b'cnumpy\nndarray\n.', b'(dp0\nI1\nI2\n'])
  def test_no_pickle_of_arrays(self, tmp_path, data):
    refusal(write(tmp_path, data))

  def test_flipped_bytes_give_an_error_or_arrays(self, tmp_path):
    data = pickle.dumps(content(), 2)
    random = np.random.RandomState(1)
    for position in random.randint(len(data), size=300):
      flipped = bytearray(data)
      flipped[position] ^= 1 << random.randint(8)
      try:
        load_weights(write(tmp_path, bytes(flipped)), TINY)
      except UserError:
        pass

  def test_git_lfs_pointer(self, tmp_path):
    path = write(tmp_path, b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')
    assert 'git lfs pull' in refusal(path)


class TestChecksums:

  def list_hash(self, folder, digest, name='w.pickle', mark=' '):
    (folder / 'SHA256SUMS').write_text('%s %s%s\n' % (digest, mark, name))

  @pytest.mark.parametrize('mark', ' *')
  def test_right_hash(self, tmp_path, mark):
    data = pickle.dumps(content(), 2)
    self.list_hash(tmp_path, hashlib.sha256(data).hexdigest(), mark=mark)
    assert_counts_up(load_weights(write(tmp_path, data), TINY)[0])

  @pytest.mark.parametrize('mark', ' *')
  def test_another_file_is_somebody_s_own(self, tmp_path, mark):
    self.list_hash(tmp_path, '0' * 64, mark=mark)
    path, said = write(tmp_path, pickle.dumps(content(), 2)), []
    assert_counts_up(load_weights(path, TINY, said.append)[0])
    assert said == ['note: %s is not the file that SHA256SUMS beside it lists; it is taken as '
                    'your own weights' % path]

  def test_a_torn_file_is_said_not_to_be_the_listed_one(self, tmp_path):
    self.list_hash(tmp_path, '0' * 64)
    message = refusal(write(tmp_path, pickle.dumps(content(), 2)[:-100]))
    assert 'is torn' in message and 'not the file that SHA256SUMS beside it lists' in message
    assert 'git checkout' in message

  def test_file_that_is_not_listed(self, tmp_path):
    self.list_hash(tmp_path, '0' * 64, name='other.pickle')
    load_weights(write(tmp_path, pickle.dumps(content(), 2)), TINY)


@pytest.mark.skipif(not os.path.exists(FLOAT_WEIGHTS), reason='no pretrained weights here')
def test_pretrained_efficientnet_b0():
  weights, classes = load_weights(FLOAT_WEIGHTS, EFFICIENTNET_B0)
  assert classes == 1000 and len(weights) == 82
  # Parameters of B0 with batch norm folded.
  assert sum(layer.weights.size + layer.bias.size for layer in weights.values()) == 5267540
  widest = np.abs(weights['expanded_conv_0/dws'].weights).max((0, 1, 3))
  np.testing.assert_allclose([widest.min(), widest.max()], [1.146e-6, 34.268], rtol=1e-3)
