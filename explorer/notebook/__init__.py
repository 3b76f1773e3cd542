"""The explorer from Python: one line to open a model, one to generate, one for each question. Every answer shows itself in a notebook.

    import explorer

    ex = explorer.open("dmmgan-aviary")
    t = ex("a small red bird with black wings", seed=3)
    t.words(k=5)
    t.show("wings")
    t.region((0, 0, 0.5, 0.5))
    t.effects("red")
    with ex.edits(mute="red"):
        muted = ex("a small red bird with black wings", seed=3)
    muted.against(t)
    ex.read_back("photo.jpg", "a small red bird")
    vote = ex.vote("ann", votes="votes.db")
    vote.choose("left")
    vote.result()
    ex.compare("a small red bird", "red", seeds=(3, 4))
    ex.walk("a small red bird", "a large blue bird")

Answers are HTML strings with plain data beside them (``rows``), so that they need no widget extension: JupyterLab, VS Code and Colab show
the same, and a script prints them as text.
"""

from explorer.notebook.models import Explorer, open_models
from explorer.notebook.shown import Shown
from explorer.notebook.view import View
from explorer.notebook.voting import Voting

__all__ = ["Explorer", "Shown", "View", "Voting", "open_models"]
