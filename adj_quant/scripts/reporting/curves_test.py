"""Curves of training: which diagrams, where runs begin, running means."""

import numpy as np
import pytest

from scripts.reporting import curves, drawing
from scripts.reporting.history import Phase, Series


def series(*values, every=10):
  return Series(np.arange(len(values)) * every, np.array(values, float))


PHASES = [Phase('float', {'total_loss': series(3, 2, 1), 'learning_rate': series(1, 1, 0)}),
          Phase('bits', {'loss/total': series(9, 8), 'validation/top1': series(50, 60, every=15),
                         'metric/published': series(0.3, 0.2), 'odd $tag': series(1, 2)})]


def test_panels():
  assert [(panel.title, panel.tags) for panel in curves.known_panels(PHASES)] == [
      ('Accuracy in %', ('validation/top1',)), ('Metric', ('metric/published',)),
      ('Loss', ('loss/total', 'total_loss'))]
  assert [panel.title for panel in curves.other_panels(PHASES)] == ['learning_rate', 'odd $tag']
  assert curves.known_panels([]) == curves.other_panels([]) == []


def test_runs_one_after_another():
  accuracy, _, loss = curves.history_chart(PHASES, curves.known_panels(PHASES)).axes
  lines = {line.get_label(): line for line in loss.lines}
  assert lines['total_loss'].get_xdata().tolist() == [0, 10, 20]
  assert lines['loss/total'].get_xdata().tolist() == [20, 30]
  assert lines['loss/total'].get_ydata().tolist() == [9, 8]
  divider, = [line for line in accuracy.lines if line.get_linestyle() == ':']
  assert list(divider.get_xdata()) == [20, 20]
  assert [text.get_text() for text in loss.texts] == ['float', 'bits']
  assert accuracy.get_xlim() == pytest.approx((0, 35 * 1.01))


def test_values_that_are_not_finite_are_gaps():
  phase = Phase('x', {'loss': series(1, np.inf, 3)})
  axes, = curves.history_chart([phase], curves.known_panels([phase])).axes
  np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, np.nan, 3])


def test_noisy_scalars_have_a_running_mean():
  phase = Phase('x', {'loss': series(*np.random.RandomState(0).normal(0, 1, 400))})
  axes, = curves.history_chart([phase], curves.known_panels([phase])).axes
  raw, smooth = axes.lines
  assert np.std(smooth.get_ydata()) < np.std(raw.get_ydata()) / 2
  assert [text.get_text() for text in axes.get_legend().get_texts()] == ['loss']


def test_running_mean():
  assert curves.running_mean(np.array([1.0, 2.0, 6.0, np.nan]), 3).tolist() == [1.5, 3.0, 4.0, 6.0]
  assert curves.running_mean(np.array([1.0, 2.0]), 1).tolist() == [1.0, 2.0]


def test_names_are_no_formulas():
  phase = Phase('a$b', {'cost $x^$': series(1, 2)})
  svg = drawing.as_svg(curves.history_chart([phase], curves.other_panels([phase])), 'x')
  assert 'a$b' in svg and 'cost $x^$' in svg
