"""The session of a training in a cluster."""

import threading

import tensorflow.compat.v1 as tf

from training import loop


def test_a_session_of_a_cluster_is_closed_once_in_a_thread(monkeypatch):
  """Its destructor closes it again, perhaps where no thread starts any more."""
  closed_in = []

  class Session:
    def close(self):
      closed_in.append(threading.current_thread())

  session = Session()
  monkeypatch.setattr(tf.train.SessionManager, 'prepare_session', lambda *_, **__: session)
  with tf.Graph().as_default():
    tf.train.get_or_create_global_step()
    made = loop.SessionCreator(tf.train.Scaffold(), 'grpc://nowhere:1', None).create_session()
  made.close()
  made.close()
  assert [thread is threading.main_thread() for thread in closed_in] == [False, True]
