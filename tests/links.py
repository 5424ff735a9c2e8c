#!/usr/bin/env python3
"""links.py DIRECTORY [ROOT]: every link within the Markdown files of a directory leads to a file, and
to a heading of it where it names one. Links to file:///... lead into ROOT."""
import re
import sys
from pathlib import Path
from urllib.parse import unquote

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|^    .*?$|`[^`\n]*`", re.M | re.S)


def anchors(page):
    """As GitHub makes them of headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    seen = []
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.M):
        plain = re.sub(r"[^\w\- ]", "", LINK.sub("]", heading).lower()).replace(" ", "-")
        seen.append(plain if plain not in seen else f"{plain}-{seen.count(plain)}")
    return seen


def fault(page, link, root):
    path, _, anchor = unquote(link).partition("#")
    if path.startswith("file:///"):
        target = root / path[len("file:///") :]
    else:
        target = page.parent / path if path else page
    if not target.exists():
        return "no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return "no such heading"
    return None


def main():
    directory = Path(sys.argv[1])
    root = Path(sys.argv[2] if len(sys.argv) > 2 else "/")
    count = failed = 0
    pages = [page for page in directory.rglob("*.md") if "node_modules" not in page.parts]
    for page in sorted(pages):
        for link in LINK.findall(CODE.sub("", page.read_text())):
            if re.match(r"(?!file:)[a-z]+:", link):
                continue
            count += 1
            wrong = fault(page, link, root)
            if wrong:
                print(f"FAIL: {page.relative_to(directory)}: {link}: {wrong}")
                failed += 1
    print(f"{count} links in {len(pages)} pages")
    sys.exit(1 if failed or not count else 0)


main()
