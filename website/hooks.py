"""What MkDocs calls: adds the pages that are made from the repository, and rewrites links between files into links between pages."""

from __future__ import annotations

from pathlib import Path

import code_map
import commands
import course
import tables
from mkdocs.structure.files import File
from repository import (
    FILES,
    ROOT,
    change_links,
    documents,
    linked_files,
    module_page,
    notebooks,
    page_of,
    section,
    set_lists_apart,
    site_link,
)

PACKAGES = ("dmm", "explorer")


def modules() -> dict[str, str]:
    """Page -> module, of every file that is not run as a program."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if path.name != "__main__.py"]
    names = [path.relative_to(ROOT).as_posix() for path in files]
    return {module_page(name): name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names}


def on_config(config):
    """Put the made pages into the navigation."""
    course_pages = [{course.title(ROOT / path): page} for path, page in notebooks().items()]
    cards = [{Path(page).stem: page} for page in documents().values() if page.startswith("models/")]
    places = {"course/": ["course/index.md", *course_pages], "models/": cards, "api/": ["api/index.md", *_api_nav()]}
    config["nav"] = filled(config["nav"], places)
    config["watch"] += [str(ROOT / package) for package in PACKAGES]
    return config


def filled(nav: list[dict], places: dict[str, list]) -> list[dict]:
    """The navigation with lists of pages in place of the names that stand for them, at any depth."""
    return [
        {name: filled(page, places) if isinstance(page, list) else places.get(page, page) for name, page in entry.items()} for entry in nav
    ]


def _api_nav() -> list[dict]:
    """The modules of the two packages, by folder."""
    found: list[dict] = []
    for page, name in modules().items():
        parts, level = name.split("."), found
        for depth, part in enumerate(parts[:-1]):
            whole = ".".join(parts[: depth + 1])
            level = next(entry[part] for entry in level if part in entry and isinstance(entry[part], list)) if whole else level
        level.append({parts[-1]: [page]} if page.endswith("/index.md") else {parts[-1]: page})
    return found


def on_files(files, config):
    """Add every page and file that does not lie in docs/."""
    made = {"course/index.md": course.index(notebooks(), ROOT), "architecture.md": code_map.page()}
    made |= {page: course.page(ROOT / path) for path, page in notebooks().items()}
    made |= {page: f"# {name}\n\n::: {name}\n" for page, name in modules().items()}
    made |= {"settings.md": tables.settings(), "recipes.md": tables.recipes(), "figures.md": tables.figures(), "api/index.md": _api_index()}
    made |= {f"commands/{name}.md": commands.page(app, name) for name, app in _programs().items()}
    made["glossary.md"] = "# Glossary\n\n" + section((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "Glossary")
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    for path, page in documents().items():
        if not path.startswith("docs/"):
            files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    for path in sorted(_linked()):
        files.append(File.generated(config, f"{FILES}/{path}", abs_src_path=str(ROOT / path)))
    for package in PACKAGES:
        files.append(File.generated(config, f"{FILES}/code-{package}.svg", content=code_map.drawing(package)))
    files.append(File.generated(config, "site.css", abs_src_path=str(ROOT / "website" / "site.css")))
    return files


def _programs() -> dict:
    from dmm.cli import app as dmm
    from explorer.cli import app as explorer

    return {"dmm": dmm, "explorer": explorer}


def _linked() -> set[str]:
    """Files to copy: those that a document or notebook links to, notebooks themselves, and recipes."""
    found = {path for path in notebooks()} | {path.relative_to(ROOT).as_posix() for path in (ROOT / "dmm" / "recipes").glob("*.yaml")}
    for path in documents():
        found |= linked_files((ROOT / path).read_text(encoding="utf-8"), path)
    for path in notebooks():
        found |= linked_files(course.page(ROOT / path), path)
    return found


def _api_index() -> str:
    lines = ["# API", "", "From the docstrings: shapes, units, errors, and the equations' numbers.", ""]
    lines += [f"- [{name}]({page.removeprefix('api/')})" for page, name in modules().items() if name.count(".") < 2]
    return "\n".join(lines) + "\n"


def on_page_markdown(markdown, page, config, files):
    """Links of files become links of pages; the table of metrics stands where its place is marked."""
    sources = {made: path for path, made in (documents() | notebooks()).items()} | {"glossary.md": "CONTRIBUTING.md"}
    source = sources.get(page.file.src_uri)
    if source is None:
        return markdown
    own = page.file.src_uri
    markdown = change_links(
        set_lists_apart(markdown),
        lambda link: link if page_of(link) is None and link.startswith("../files/") else site_link(link, source, own),
    )
    return markdown.replace("<!-- table of metrics -->", tables.metrics())
