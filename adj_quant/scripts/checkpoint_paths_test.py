"""Every form of path that users give means one checkpoint, or says what is there."""

import json
import os

import pytest

from scripts.checkpoint_paths import find_checkpoint, latest_checkpoint
from scripts.errors import UserError

ENDINGS = ('.index', '.data-00000-of-00001', '.meta', '.json')


@pytest.fixture(name='make')
def maker(tmp_path):
  """Function of names that makes the files of checkpoints; a folder may precede the name."""
  def make(*names):
    for name in names:
      for ending in ENDINGS:
        path = tmp_path / (name + ending)
        path.parent.mkdir(exist_ok=True)
        path.write_text('')
    return str(tmp_path)
  return make


def meant(path):
  """What a path means, and the lines that say so."""
  lines = []
  return find_checkpoint(str(path), lines.append), lines


def refusal(path):
  with pytest.raises(UserError) as raised:
    find_checkpoint(str(path))
  assert '\n' not in str(raised.value)
  return str(raised.value)


@pytest.mark.parametrize('ending', ('',) + ENDINGS)
def test_a_name_and_each_of_its_files(make, ending):
  path = make('model.ckpt-9', 'model.ckpt-10') + '/model.ckpt-9'
  assert meant(path + ending) == (path, [])


def test_a_name_that_ends_like_a_file(make):
  path = make('a.json', 'a') + '/a.json'
  assert meant(path) == (path, [])


@pytest.mark.parametrize('name', ['metric_0.18-12', 'metric_0.18.3-12', 'metric_0.18_swa-12',
                                  'metric_0.18_swa.1-12'])
def test_a_name_without_its_step(make, name):
  folder = make(name, 'metric_0.181-12', 'metric_0.18-12_other')
  chosen, lines = meant(folder + '/metric_0.18')
  assert chosen == folder + '/' + name
  assert lines == ['note: there is no checkpoint %s/metric_0.18; taking %s' % (folder, chosen)]


def test_a_name_without_its_step_that_several_have(make):
  folder = make('metric_0.18-12', 'metric_0.18_swa-12')
  assert refusal(folder + '/metric_0.18') == (
      '%s/metric_0.18 may be metric_0.18-12, metric_0.18_swa-12: name one' % folder)


@pytest.mark.parametrize('former', ['metric_0.18-12', 'metric_0.18_swa-12'])
def test_a_checkpoint_that_was_renamed_has_its_step_in_its_description(make, tmp_path, former):
  folder = make('metric_0.18', 'metric_0.181')
  asked = '%s/%s' % (folder, former)
  assert refusal(asked).startswith('no checkpoint at ' + asked)
  for content in ('{"step": 11}', '{"step": "12"}', '[]', '{'):
    (tmp_path / 'metric_0.18.json').write_text(content)
    assert refusal(asked).startswith('no checkpoint at ' + asked)
  (tmp_path / 'metric_0.18.json').write_text('{"step": 12}')
  assert meant(asked) == (folder + '/metric_0.18', [
      'note: there is no checkpoint %s; taking %s/metric_0.18' % (asked, folder)])


def test_names_below_the_current_folder(make, monkeypatch):
  monkeypatch.chdir(make('model.ckpt-9'))
  for path in ('model.ckpt-9', 'model.ckpt-9.index', './model.ckpt-9.meta'):
    assert os.path.normpath(meant(path)[0]) == 'model.ckpt-9'
  assert meant('model.ckpt')[0] == 'model.ckpt-9'
  assert meant('.') == ('./model.ckpt-9', [])


@pytest.mark.parametrize('form', ['', '/', '/checkpoint'])
def test_a_folder_means_what_its_file_names(make, tmp_path, form):
  folder = make('model.ckpt-9', 'model.ckpt-10')
  (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "model.ckpt-9"\n')
  chosen, lines = meant(folder + form)
  assert os.path.normpath(chosen) == folder + '/model.ckpt-9' and not lines


@pytest.mark.parametrize('elsewhere', ['/elsewhere/run/', 'C:\\\\runs\\\\', '%s/former/'])
def test_a_folder_that_was_copied_means_its_own_checkpoint(make, tmp_path, elsewhere):
  folder = make('model.ckpt-9', 'model.ckpt-10', 'former/model.ckpt-9')
  elsewhere = elsewhere.replace('%s', folder)
  (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "%smodel.ckpt-9"\n' % elsewhere)
  chosen, (line,) = meant(folder)
  assert chosen == folder + '/model.ckpt-9'
  assert line.startswith('note: %s/checkpoint names ' % folder)
  assert line.endswith('; taking ' + chosen)


def test_a_folder_may_name_a_checkpoint_elsewhere(make, tmp_path):
  folder = make('model.ckpt-9', 'other/model.ckpt-3')
  (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "other/model.ckpt-3"\n')
  assert meant(folder) == (folder + '/other/model.ckpt-3', [])


@pytest.mark.parametrize('content', [
    b'', b'model_checkp', b'\xff\0', b'model_checkpoint_path: "model.ckpt-12"\n',
    b'model_checkpoint_path: "/none/model.ckpt-12"\n', b'model_checkpoint_path: "/n/\xe9-1"\n'])
def test_a_file_that_names_nothing_that_is_there(make, tmp_path, content):
  folder = make('model.ckpt-9', 'model.ckpt-10')
  (tmp_path / 'checkpoint').write_bytes(content)
  chosen, (line,) = meant(folder)
  assert chosen == folder + '/model.ckpt-10'
  assert line.startswith('note: %s/checkpoint names ' % folder) and '\n' not in line
  assert line.endswith('taking the last one, ' + chosen)


def test_the_last_one_is_that_of_the_highest_step_then_the_last_written(make, tmp_path):
  folder = make('b_swa-10', 'z-9', 'a-10', 'no_step')
  os.utime(str(tmp_path / 'b_swa-10.index'), (1, 1))
  assert meant(folder) == (folder + '/a-10', [
      'note: taking the last of 4 checkpoints, %s/a-10' % folder])
  os.utime(str(tmp_path / 'a-10.index'), (0, 0))
  assert meant(folder)[0] == folder + '/b_swa-10'


def test_the_only_checkpoint_needs_no_step(make):
  folder = make('model.ckpt')
  assert meant(folder) == (folder + '/model.ckpt', [])
  make('other.ckpt')
  assert refusal(folder) == (
      '%s holds the checkpoints model.ckpt, other.ckpt, without steps: name one' % folder)


@pytest.mark.parametrize('form', ['', '/best.json'])
def test_a_folder_of_best_checkpoints_means_the_best(make, tmp_path, form):
  folder = make('metric_0.18-7', 'metric_0.17-9')
  (tmp_path / 'best.json').write_text(json.dumps({'checkpoint': 'metric_0.18-7', 'score': {}}))
  assert meant(folder + form) == (folder + '/metric_0.18-7', [])


@pytest.mark.parametrize('content', ['', '{}', '[]', '{"checkpoint": 3}', '{"checkpoint": "a-1"}'])
def test_a_record_of_the_best_that_names_nothing(make, tmp_path, content):
  folder = make('metric_0.18-7', 'metric_0.17-9')
  (tmp_path / 'best.json').write_text(content)
  chosen, (line,) = meant(folder)
  assert chosen == folder + '/metric_0.17-9' and 'best.json names ' in line


def test_what_is_being_written_does_not_count(make, tmp_path):
  folder = make('a-1', '.unfinished-a-2')
  (tmp_path / 'a-3.index.tempstate1').write_text('')
  assert meant(folder) == (folder + '/a-1', [])


def test_latest_of_one_name(make, tmp_path):
  folder = make('model.ckpt-9', 'model.ckpt-10', 'model.ckpt-11_temp', 'other-12', 'model.ckpt')
  assert latest_checkpoint(folder, name='model.ckpt') == folder + '/model.ckpt-10'
  assert latest_checkpoint(folder, name='none') is None
  (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "other-12"\n')
  assert latest_checkpoint(folder, name='model.ckpt') == folder + '/other-12'


def test_messages_say_what_is_there(make, tmp_path):
  folder = make()
  assert refusal(folder) == 'no checkpoint in the folder %s: %s holds nothing' % (folder, folder)
  (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "/n/a-1"\n')
  assert refusal(folder) == ('no checkpoint in the folder %s: it names /n/a-1, which is not there; '
                             '%s holds checkpoint' % (folder, folder))
  looked = 'no checkpoint at %s/a-1: looked for a-1.index and a-1-<step>.index; ' % folder
  assert refusal(folder + '/a-1') == looked + '%s holds checkpoint' % folder
  make('below/b-1')
  assert refusal(folder).endswith('there are checkpoints in its folders below')
  make(*['c-%d' % step for step in range(1, 8)])
  assert refusal(folder + '/a-1') == (
      looked + '%s holds the checkpoints c-1, c-2, c-3, c-4, c-5 and 2 more' % folder)
  (tmp_path / 'a-1.data-00000-of-00001').write_text('')
  assert refusal(folder + '/a-1.meta').endswith('; only a-1.data-00000-of-00001 is there')
  assert refusal(folder + '/none/a-1').endswith('; there is no folder %s/none' % folder)


def test_a_file_in_place_of_a_folder(make):
  path = make('a-1') + '/a-1.index'
  with pytest.raises(UserError, match='cannot list the folder .*a-1.index: Not a directory'):
    latest_checkpoint(path)
