"""What a person asked for, checked: one caption, seed, model and list of edits, from the page, a link or an endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from dmm.files import is_writable_text
from dmm.pipeline import CaptionError
from dmm.trace import Trace
from explorer.edits import SEEDS, Edit, EditError
from explorer.interventions import from_data, from_json
from explorer.session import Session, UnknownModel, tidy

LONGEST = 600  # characters of a caption
FIRST_SEED = 3


class Refusal(ValueError):
    """A request that cannot be answered, said in a way that can be shown."""


@dataclass(frozen=True)
class Question:
    """One picture that is asked for."""

    model: str
    caption: str
    seed: int
    edits: tuple[Edit, ...] = ()

    @classmethod
    def read(cls, session: Session, caption, seed=FIRST_SEED, model=None, edits=None) -> Question:
        """Raw values, checked.

        Args:
            session: what is open.
            caption: one sentence.
            seed: a whole number, or empty for the first.
            model: a name; empty for the first model.
            edits: a list of plain data, its JSON, or nothing.

        Raises:
            Refusal: what was expected and what was found.
        """
        if caption is not None and not isinstance(caption, str):
            raise Refusal(f"A caption is a text; found {type(caption).__name__}.")
        caption = tidy(caption or "")
        if len(caption) > LONGEST:
            raise Refusal(f"That is {len(caption)} characters; a caption may have {LONGEST}. One sentence works best.")
        if not is_writable_text(caption):
            raise Refusal("A caption is a text that can be written as UTF-8; this one holds half a character.")
        model = model or session.models[0]
        if model in session.unreadable:
            raise Refusal(f"{model} cannot be opened. {session.unreadable[model]}")
        if model not in session.models:
            raise Refusal(f"no model {str(model)[:80]!r} in this session; it holds {', '.join(session.models)}")
        try:
            read = from_json(edits) if edits is None or isinstance(edits, str) else from_data(edits)
        except EditError as error:
            raise Refusal(str(error)) from error
        return cls(model, caption, read_seed(seed), read)

    @property
    def key(self) -> tuple:
        """The arguments of :meth:`explorer.session.Session.trace`."""
        return self.model, self.caption, self.seed, self.edits

    def bare(self) -> Question:
        """The same without edits."""
        return Question(self.model, self.caption, self.seed)

    def trace(self, session: Session) -> Trace:
        """The answer.

        Raises:
            Refusal: a caption that cannot be generated, or an edit that does not fit.
        """
        try:
            return session.trace(self.model, self.caption, self.seed, self.edits)
        except (CaptionError, UnknownModel, EditError) as error:
            raise Refusal(str(error)) from error


def read_seed(value) -> int:
    """A seed: a whole number from 0 on; empty is the first.

    Raises:
        Refusal: anything else, such as 1.5.
    """
    number = FIRST_SEED if value in (None, "") else value
    try:
        seed = int(number)
        whole = not isinstance(number, bool) and (isinstance(number, str) or seed == number)
    except (TypeError, ValueError, OverflowError):
        seed, whole = -1, False
    if not whole or not 0 <= seed < SEEDS:
        raise Refusal(f"A seed is a whole number from 0 to {SEEDS - 1}; found {str(value)[:40]!r}.")
    return seed
