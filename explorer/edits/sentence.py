"""A caption as words with positions, and what an edit of a word makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dmm.data.vocab import tokenise
from explorer.edits.records import EditError, Exchange, Mute


@dataclass(frozen=True)
class Sentence:
    """A caption as words, each with its position on the T axis of the caption as given; unknown words have none."""

    tokens: tuple[tuple[str, int | None], ...]
    ids: dict  # word -> id, of the vocabulary
    changed: bool = False

    @classmethod
    def read(cls, pipe, caption: str) -> Sentence:
        """The words of a caption, with their positions under the vocabulary's convention."""
        place = 0 if pipe.vocab.start is None else 1
        tokens = []
        for word, number in pipe.vocab.known(caption):
            tokens.append((word, None if number is None else place))
            place += number is not None
        return cls(tuple(tokens), pipe.vocab.ids)

    @property
    def text(self) -> str:
        """The words, joined by blanks."""
        return " ".join(word for word, _ in self.tokens)

    def find(self, word: str | int) -> list[int]:
        """Positions, on the T axis of the caption as given, that a word names.

        Raises:
            EditError: the word is not among the known words.
        """
        if isinstance(word, int):
            if all(place != word for _, place in self.tokens):
                raise EditError(f"position {word} is no word of “{self.text}”: words count from {self._first()}")
            return [word]
        found = [place for token, place in self.tokens if token == word.lower() and place is not None]
        if not found:
            raise EditError(f"{word!r} is not among the known words of “{self.text}”")
        return found

    def now(self, word: str | int) -> list[int]:
        """As :meth:`find`, on the T axis of the sentence as it is now, where muted words have no place."""
        known = [place for _, place in self.tokens if place is not None]
        return [self._start + known.index(place) for place in self.find(word)]

    @property
    def _start(self) -> int:
        return 0 if self.ids.get("<start>") is None else 1

    def _first(self) -> int:
        return min((place for _, place in self.tokens if place is not None), default=0)

    def edited(self, edit: Mute | Exchange) -> Sentence:
        """The sentence with a word muted or exchanged.

        Raises:
            EditError: no such word, no word left, or a new word that the vocabulary does not have.
        """
        places = self.find(edit.word)
        if isinstance(edit, Mute):
            tokens = tuple(token for token in self.tokens if token[1] not in places)
            if all(place is None for _, place in tokens):
                raise EditError(f"muting {edit.word!r} would leave no word to read")
            return replace(self, tokens=tokens, changed=True)
        (new,) = tokenise(edit.new)
        if new not in self.ids:
            raise EditError(f"{edit.new!r} is not in this model's vocabulary, so it cannot take the place of {edit.word!r}")
        return replace(self, tokens=tuple((new if place in places else word, place) for word, place in self.tokens), changed=True)


def places_of(sentence: Sentence | None, word: str | int) -> list[int]:
    """Positions on the T axis that will be generated; a position without a sentence is taken as it is."""
    return [word] if sentence is None and isinstance(word, int) else require_sentence(sentence, word).now(word)


def require_sentence(sentence: Sentence | None, word: str | int) -> Sentence:
    """The sentence, which an edit of this word cannot do without.

    Raises:
        EditError: there is none.
    """
    if sentence is None:
        raise EditError(f"to find {word!r}, say which caption will be generated: attached(pipe, ..., caption=...)")
    return sentence
