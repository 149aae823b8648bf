"""Stages of a pipeline: plain lists of commands, made before anything runs."""

from typing import NamedTuple, Tuple


class Newest(NamedTuple):
  """In a command: the newest checkpoint in `folder`, whose name is known when its turn comes."""
  folder: str


class Stage(NamedTuple):
  """Commands that fill one folder; completed as a whole or run again."""
  name: str  # Of its folder.
  title: str
  commands: Tuple[tuple, ...]  # Of words, or `Newest` in place of one.
  resumes: bool = False  # True where its scripts resume in a folder with part of the work.
