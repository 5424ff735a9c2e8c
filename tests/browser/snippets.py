"""What the documents tell their readers to run: the fenced blocks of a Markdown page.

    snippets.py PAGE LANGUAGE [HEADING]   prints all of that language, in their order
"""

import re
import sys
import textwrap


def snippets(page):
    """(heading, language, text) of each fenced block that names a language."""
    heading = None
    with open(page, encoding="utf-8") as file:
        parts = re.split(r"^(#+ .*| *```[\s\S]*?^ *```)$", file.read(), flags=re.M)
    for part in parts[1::2]:
        if part.startswith("#"):
            heading = part.lstrip("# ")
            continue
        language, text = part.strip()[3:-3].split("\n", 1)
        if language:
            yield heading, language, textwrap.dedent(text)


if __name__ == "__main__":
    for heading, language, text in snippets(sys.argv[1]):
        if language == sys.argv[2] and heading in (sys.argv[3:] or [heading]):
            print(text)
