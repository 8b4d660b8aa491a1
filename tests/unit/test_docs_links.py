"""Links between the Markdown files: each leads to an existing file and heading."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "k8s/**/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
)
# The target after "](" or "[label]: ", up to a title or the end.
_LINK = re.compile(r"\]\(\s*<?([^\s)>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_FOREIGN = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
# Our own files by their GitHub URL, as the alerts and the labels name them.
_OURS = re.compile(
    r"https://github\.com/traffic-tacos/reservation-worker/blob/main/([\w./-]+)(?:#([\w-]+))?"
)


def links(text: str) -> Iterator[str]:
    """The link targets in `text`, outside code examples."""
    for inline, reference in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
        yield inline or reference


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of `text`."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def broken(path: Path, link: str) -> str | None:
    """The problem with a relative `link` of the file at `path`."""
    place, _, anchor = unquote(link).partition("#")
    target = (path.parent / place).resolve() if place else path
    if not target.is_relative_to(ROOT):
        return "leads out of the repository"
    if not target.exists():
        return "no such file"
    if anchor and anchor not in anchors(target.read_text()):
        return f"{target.name} has no heading #{anchor}"
    return None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    found = [link for link in links(path.read_text()) if not _FOREIGN.match(link)]
    problems = {link: why for link in found if (why := broken(path, link))}
    assert not problems


@pytest.mark.parametrize("name", ["k8s/monitoring/rules.yaml", "k8s/monitoring/dashboard.json"])
def test_every_link_to_our_own_pages_leads_to_a_heading(name: str) -> None:
    found = set(_OURS.findall((ROOT / name).read_text()))
    for place, anchor in found:
        link = f"{place}#{anchor}" if anchor else place
        assert broken(ROOT / "README.md", link) is None, link


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("docs/dlq.md", None),
        ("docs/dlq.md#put-back", None),
        ("docs/gone.md", "no such file"),
        ("docs/dlq.md#gone", "dlq.md has no heading #gone"),
        ("../elsewhere.md", "leads out of the repository"),
    ],
)
def test_a_broken_link_is_found(link: str, why: str | None) -> None:
    assert broken(ROOT / "README.md", link) == why


def test_both_readmes_are_among_the_files_and_have_links() -> None:
    for name in ("README.md", "docs/README.ko.md"):
        assert list(links((ROOT / name).read_text())), name
        assert ROOT / name in FILES


def test_headings_are_named_as_github_names_them() -> None:
    text = "# A `b`, c's (d)\n## 한국어 문서\n## Two\n## Two\n```\n# no heading\n```\n"
    assert anchors(text) == {"a-b-cs-d", "한국어-문서", "two", "two-1"}


def test_a_link_in_a_code_example_is_ignored() -> None:
    assert list(links("[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\n[g]: h.md\n")) == [
        "b.md",
        "h.md",
    ]
