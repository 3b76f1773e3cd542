"""Refuses a tag that the project does not speak of; prints what CHANGELOG.md says of it: ``python .ci/release.py v1.2.3``."""

import re
import sys
from pathlib import Path


def section(changelog: str, version: str) -> str | None:
    """What a changelog says below the heading ``## VERSION``, to which a date may be added; None without one."""
    parts = re.split(r"^## (\S+).*$", changelog, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True)).get(version)


def main(tag: str) -> str:
    version = tag.removeprefix("v")
    notes = section(Path("CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        sys.exit(f"{tag}: expected a tag like v1.2.3")
    if not (notes or "").strip():
        sys.exit(f"{tag}: CHANGELOG.md has no section '## {version}' that says something")
    cited = re.search(r"^version: (\S+)", Path("CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    if cited is None or cited[1] != version:
        sys.exit(f"{tag}: CITATION.cff says version {cited and cited[1]}")
    return notes.strip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python .ci/release.py v1.2.3")
    print(main(sys.argv[1]))
