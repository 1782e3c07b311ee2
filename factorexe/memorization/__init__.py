"""What the files of a run tell of memorization and generalization: numbers (``story``) and words (``told``)."""

from factorexe.memorization.story import Panel, Story, story
from factorexe.memorization.told import as_json, words, written

__all__ = ["Panel", "Story", "as_json", "story", "words", "written"]
