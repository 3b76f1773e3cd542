"""Roles of docstrings, such as ``:func:`dmm.load``` , as links between the pages of the API reference."""

from __future__ import annotations

import re

from griffe import Extension

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`~?([\w.]+)`")


class SphinxRoles(Extension):
    """Rewrites the docstring of every object that is loaded."""

    def on_object(self, *, obj, **_) -> None:
        """Make links of an object's roles; a name without dots is looked for in the object's own module."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(lambda role: _link(role[1], obj.module.path), obj.docstring.value)


def _link(name: str, module: str) -> str:
    """A reference that stays plain code where no page has the name."""
    target = name if name.split(".")[0] in ("dmm", "explorer") else f"{module}.{name}"
    return f'<autoref identifier="{target}" optional><code>{name}</code></autoref>'
