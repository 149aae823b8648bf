"""Command lines of tf.app.flags, as users of TF-Slim know them, without global state.

Flags are defined by a function when a script starts, not when a module is imported, so two
scripts may have flags of one name and tests may parse as often as they like.
"""

import os
import textwrap

import tensorflow.compat.v1 as tf

from scripts.errors import UserError

_TRUTHS = ('true', 'false')  # Of a switch, in any case.
_WIDTH = 100
_INDENT = 26  # Columns before the text of a flag.
# absl's, which command lines of TF-Slim carry.
_MESSAGE_FLAGS = (
    ('alsologtostderr', 'show TensorFlow\'s own messages on stderr'),
    ('logtostderr', 'the same'),
)


class CommandLine:
  """Flags and arguments of one script.

  `--help` (and `--helpshort`, `-h`) prints the description and every flag with its default and
  ends the program; so does nothing else.
  """

  def __init__(self, script, description, arguments=()):
    """Describes a script.

    Args:
      script: its file name, for the help.
      description: what it does; its first line is a sentence.
      arguments: names of what follows the flags, all needed: ('SRC', 'DEST').
    """
    self._script = os.path.basename(script)
    self._description = description
    self._arguments = tuple(arguments)
    self._values = tf.app.flags.FlagValues()
    self._least = {}  # Flag -> smallest value.
    self._sections = [('', [])]
    self._messages = ('messages', [])  # The section of the flags that every script has.
    for name, text in _MESSAGE_FLAGS:
      tf.app.flags.DEFINE_boolean(name, False, text, flag_values=self._values)
      self._messages[1].append(name)

  def section(self, title):
    """Opens a section of the help for the flags that follow."""
    self._sections.append((title, []))

  def string(self, name, default, text):
    """A flag with a text; None: not given."""
    self._define(tf.app.flags.DEFINE_string, name, default, text)

  def integer(self, name, default, text, least=None):
    """A flag with a whole number of at least `least`."""
    self._define(tf.app.flags.DEFINE_integer, name, default, text)
    if least is not None:
      self._least[name] = least

  def number(self, name, default, text):
    """A flag with a real number."""
    self._define(tf.app.flags.DEFINE_float, name, default, text)

  def boolean(self, name, default, text):
    """A switch: --name, --noname, --name=true, --name true."""
    self._define(tf.app.flags.DEFINE_boolean, name, default, text)

  def choice(self, name, default, choices, text):
    """A flag with one of a few texts."""
    self._define(tf.app.flags.DEFINE_enum, name, default, list(choices), text)

  def _define(self, define, name, default, *rest):
    define(name, default, *rest, flag_values=self._values)
    self._sections[-1][1].append(name)

  def parse(self, argv):
    """Reads a command line.

    Args:
      argv: list of words without the script's name.

    Returns:
      (object with an attribute for each flag, list of the arguments).

    Raises:
      UserError: an unknown flag, a value of the wrong kind or below the least one, too few or too
        many arguments.
      SystemExit: status 0 after printing help.
    """
    if any(word in ('-h', '--help', '-help', '--helpshort', '-helpshort', '--helpfull')
           for word in argv):
      print(self.help())
      raise SystemExit(0)
    try:
      rest = self._values([self._script] + self._joined(argv))[1:]
    except tf.app.flags.Error as error:
      raise UserError('%s (see %s --help)' % (str(error).rstrip('.'), self._script))
    if len(rest) != len(self._arguments):
      wanted = ' '.join(self._arguments) or 'flags only'
      raise UserError('expected %s, got: %s (see %s --help)'
                      % (wanted, ' '.join(rest) or 'nothing', self._script))
    for name, least in self._least.items():
      value = getattr(self._values, name)
      if value is not None and value < least:
        raise UserError('--%s must be at least %d, not %d' % (name, least, value))
    if any(getattr(self._values, name) for name in self._messages[1]):
      tf.logging.set_verbosity(tf.logging.INFO)
    return self._values, rest

  def _joined(self, argv):
    """`argv` with a switch and its value in one word: absl takes --name true for two arguments."""
    words = []
    for word in argv:
      if words and self._is_switch(words[-1]) and word.lower() in _TRUTHS:
        words[-1] += '=' + word
      else:
        words.append(word)
    return words

  def _is_switch(self, word):
    name = word.lstrip('-')
    return word != name and name in self._values and self._values[name].boolean

  def as_dict(self):
    """Dict flag -> value, for saving beside what a script makes; without those of messages."""
    return {name: getattr(self._values, name) for _, names in self._sections for name in names}

  def help(self):
    """The text of --help."""
    usage = 'usage: %s [--flag=value ...]%s' % (
        self._script, ''.join(' ' + name for name in self._arguments))
    blocks = [usage, '\n'.join(textwrap.fill(line, _WIDTH)
                               for line in self._description.splitlines())]
    for title, names in self._sections + [self._messages]:
      if names:
        blocks.append('\n'.join(([title + ':'] if title else []) + [
            self._describe(self._values[name]) for name in names]))
    return '\n\n'.join(blocks)

  def _describe(self, flag):
    name = '  --%s%s' % ('[no]' if flag.boolean else '', flag.name)
    text = flag.help
    if flag.value is not None and not flag.boolean:
      text = '%s (%s)' % (text, flag.value if flag.value != '' else 'empty')
    lines = textwrap.wrap(text, _WIDTH - _INDENT)
    first = '%-*s' % (_INDENT, name)
    if len(name) >= _INDENT:
      lines.insert(0, '')
      first = name
    return '\n'.join([(first + lines[0]).rstrip()] + [' ' * _INDENT + line for line in lines[1:]])
