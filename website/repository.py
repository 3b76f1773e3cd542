"""The repository's files as pages: which file becomes which page, and where links between files lead on the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Folder -> the page that tells what is in it.
FOLDERS = {
    "dmm": "api/dmm/index.md",
    "dmm/aviary": "aviary.md",
    "explorer": "api/explorer/index.md",
    "notebooks": "course/index.md",
    "assets": "models/dmmgan-aviary.md",
    "assets/results": "results.md",
}
FILES = "files"  # where files that are no pages lie on the site
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
LIST = re.compile(r"^([-*] |\d+\. )")


def documents() -> dict[str, str]:
    """Markdown file of the repository -> page."""
    pages = {"README.md": "index.md", "dmm/aviary/README.md": "aviary.md"}
    pages |= {f"{name}.md": f"{name.lower()}.md" for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY")}
    pages |= {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    cards = sorted((ROOT / "assets" / "checkpoints").glob("*/README.md"))
    return pages | {path.relative_to(ROOT).as_posix(): f"models/{path.parent.name}.md" for path in cards}


def notebooks() -> dict[str, str]:
    """Notebook -> page."""
    return {f"notebooks/{path.name}": f"course/{path.stem}.md" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def module_page(path: str) -> str:
    """The page of a Python file, or of a package's folder, in the API reference."""
    name = path.removesuffix(".py").removesuffix("/__init__")
    return f"api/{name}/index.md" if (ROOT / name / "__init__.py").is_file() else f"api/{name}.md"


def lines_outside_code(markdown: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is prose: neither in a fenced block nor a fence."""
    fence = ""
    for line in markdown.split("\n"):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip() == fence:
            fence = ""
            yield line, False
            continue
        yield line, not fence


def change_links(markdown: str, change: Callable[[str], str | None]) -> str:
    """Every link target outside code blocks through ``change``; None takes the link away and leaves its text."""

    def changed(line: str) -> str:
        line = LINK.sub(lambda found: f"{found[1]}{change(found[2]) or ''}{found[3]}", line)
        return re.sub(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(\)", r"\1", line)

    return "\n".join(changed(line) if prose else line for line, prose in lines_outside_code(markdown))


def set_lists_apart(markdown: str) -> str:
    """A blank line between a paragraph and a list below it, which Python-Markdown needs."""
    found: list[str] = []
    for line, prose in lines_outside_code(markdown):
        above = found[-1] if found else ""
        if prose and LIST.match(line) and above.strip() and not LIST.match(above) and not above.startswith((" ", "#")):
            found.append("")
        found.append(line)
    return "\n".join(found)


def target(link: str, source: str) -> str | None:
    """The repository's file or folder that a link of a source file names; None for an address, an anchor, or a file that is not there."""
    path = link.split("#")[0]
    if not path or ":" in path:
        return None
    found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    return found if not found.startswith("..") and (ROOT / found).exists() else None


def page_of(path: str) -> str | None:
    """What a repository's file or folder is on the site; None for a folder that no page tells of."""
    pages = documents() | notebooks() | FOLDERS
    if path in pages:
        return pages[path]
    if path.endswith(".py") and path.split("/")[0] in ("dmm", "explorer"):
        return module_page(path)
    return f"{FILES}/{path}" if (ROOT / path).is_file() else None


def site_link(link: str, source: str, page: str) -> str | None:
    """A link of a source file, as the page made from it needs it; None where the site has nothing to show."""
    path = target(link, source)
    if path is None:
        return link
    found = page_of(path)
    anchor = link.partition("#")[2]
    return found and posixpath.relpath(found, posixpath.dirname(page) or ".") + (f"#{anchor}" if anchor else "")


def linked_files(markdown: str, source: str) -> set[str]:
    """Files of the repository that a source file links to and that are no pages."""
    found: set[str] = set()
    change_links(markdown, lambda link: found.add(target(link, source) or "") or link)
    return {path for path in found if path and (page_of(path) or "").startswith(f"{FILES}/")}


def section(markdown: str, heading: str) -> str:
    """The text below a heading of the second level, up to the next.

    Raises:
        ValueError: no such heading.
    """
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"expected a heading “## {heading}”, found none")
    return found[1].strip() + "\n"
