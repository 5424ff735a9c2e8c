"""Runs what docs/web-developer.md and the first steps show, as it stands there (stand.py).

Each program is taken from its page; only names of this stack's places are put in: its key file, its
address. The site of these tests has /my-token and /presence/, as the pages ask for.
"""

import os
import shutil
import subprocess
import unittest

from snippets import snippets
from stand import DEADLINE, DIR, PLAIN_PORT, SOURCE, URL, Site, run_directory, wait_until
from test_client import BOB, ESBUILD, Case, token

SNIPPETS = list(snippets(os.path.join(SOURCE, "docs/web-developer.md")))
FIRST_STEPS = ("docs/first-steps.md", "docs/ko/first-steps.md")
HERE = os.path.dirname(os.path.abspath(__file__))
ALICE = "2"
SITE_URL = f"http://localhost:{PLAIN_PORT}"
ROOT = os.path.join(DIR, "site")

SITE_CONF = '''
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{dir}/site-error.log"
server.modules = ( "mod_fastcgi" )
server.feature-flags += ( "server.graceful-shutdown-timeout" => 1 )
mimetype.assign = ( ".html" => "text/html; charset=utf-8", ".js" => "text/javascript", "" => "text/plain" )
fastcgi.server = (
    "/api/presence/stream" => (( "socket" => "{run}/stream.sock", "check-local" => "disable",
                                 "tcp-fin-propagate" => "enable", "disable-time" => 0 )),
    "/api/" => (( "socket" => "{run}/api.sock-0", "check-local" => "disable" )),
)
$HTTP["url"] =^ "/api/presence/stream" {{ server.stream-response-body = 2 }}
'''


def snippet(heading, language):
    """The one block of this language under this heading."""
    found = [text for title, lang, text in SNIPPETS if (title, lang) == (heading, language)]
    assert len(found) == 1, f"expected one block of {language} under “{heading}”, seen {len(found)}"
    return found[0]


def snippet_of(page, language):
    """All blocks of this language of a page."""
    return "\n".join(text for _, lang, text in snippets(os.path.join(SOURCE, page))
                     if lang == language)


def write(name, text):
    path = os.path.join(ROOT, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def here(text):
    """A program of the page, with the places of this stack in it."""
    return (text.replace("/etc/presence/secret.key", os.path.join(DIR, "secret.key"))
            .replace("http://localhost/", SITE_URL + "/")
            .replace("http://localhost:8000/", URL + "/"))


class Pages(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.makedirs(ROOT)
        os.symlink(os.path.join(SOURCE, "src/web"), os.path.join(ROOT, "presence"))
        cls.site = Site("site", SITE_URL, SITE_CONF.format(
            root=ROOT, run=run_directory(), dir=DIR, port=PLAIN_PORT))
        cls.site.start()
        cls.addClassCleanup(cls.site.stop)

    def setUp(self):
        super().setUp()
        write("my-token", token(ALICE))

    def run_program(self, *command, env=None):
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **(env or {})})
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def shell(self, text, a_token=""):
        return self.run_program("bash", "-euc", here(text), env={"TOKEN": a_token})

    def takes_the_token(self, language, name, *interpreter):
        text = snippet("A token, from your server", language)
        # What one test's visit ends with is refused in another's.
        text = text.replace("a random word of this visit", f"a visit by {language}")
        program = write(name, here(text))
        printed = self.run_program(*interpreter, program)
        for check in (text for title, lang, text in SNIPPETS
                      if (title, lang) == ("A token, from your server", "sh")):
            self.assertIn('"count":', self.shell(check, printed))

    @unittest.skipUnless(shutil.which("php"), "php is missing: ./bootstrap --tests")
    def test_a_token_of_php(self):
        # $_SESSION is the site's.
        write("session.php", "<?php $_SESSION = ['user_id' => 2];")
        self.takes_the_token("php", "token.php", "php", "-d",
                             f"auto_prepend_file={ROOT}/session.php")

    def test_a_token_of_python(self):
        self.takes_the_token("python", "token.py", "python3")

    def test_a_token_of_node(self):
        self.takes_the_token("js", "token.cjs", "node")

    def shows_what_changes(self, page):
        """Bob is offline and then online, on Alice's page."""
        self.driver.switch_to.new_window("tab")
        self.driver.get(f"{SITE_URL}/{page}")
        tab = self.driver.current_window_handle

        def shown():
            self.driver.switch_to.window(tab)
            return self.driver.execute_script("""
                return [...document.querySelectorAll("li")].map((row) => row.innerText)""")

        wait_until("Bob is shown offline", lambda: f"{BOB}: offline" in shown())
        bob = self.open().start(token=token(BOB))
        wait_until("Bob is shown online", lambda: f"{BOB}: online" in shown())
        bob.close()
        self.driver.switch_to.window(tab)
        self.driver.close()

    def bundled(self, heading, language, suffix):
        program = write("program" + suffix, snippet(heading, language))
        script = self.run_program("node", os.path.join(HERE, "bundle.mjs"), program, SOURCE)
        write("program.js", script)
        write("page.html", '<!doctype html><meta charset="utf-8"><div id="app"></div>'
                           '<script type="module" src="program.js"></script>')
        self.shows_what_changes("page.html")

    def test_plain_javascript(self):
        write("plain.html", snippet("Plain JavaScript", "html"))
        self.shows_what_changes("plain.html")

    @unittest.skipUnless(os.path.exists(ESBUILD), "npm's tools are missing: ./bootstrap --tests")
    def test_react(self):
        self.bundled("React", "jsx", ".jsx")

    @unittest.skipUnless(os.path.exists(ESBUILD), "npm's tools are missing: ./bootstrap --tests")
    def test_react_with_a_hook_of_its_own(self):
        self.bundled("React, with a hook of your own", "jsx", ".jsx")

    @unittest.skipUnless(os.path.exists(ESBUILD), "npm's tools are missing: ./bootstrap --tests")
    def test_vue(self):
        self.bundled("Vue", "js", ".js")

    @unittest.skipUnless(os.path.exists(ESBUILD), "npm's tools are missing: ./bootstrap --tests")
    def test_svelte(self):
        self.bundled("Svelte", "svelte", ".svelte")

    def test_a_program_on_the_server(self):
        modules = os.path.join(ROOT, "node_modules/presence-client")
        os.makedirs(modules)
        shutil.copy(os.path.join(SOURCE, "src/web/presence.js"), modules)
        shutil.copy(os.path.join(SOURCE, "src/web/package.json"), modules)
        program = write("board.mjs", here(snippet("A program on your server", "js")))
        node = subprocess.Popen(["node", program], stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "TOKEN": token(ALICE)})
        self.addCleanup(node.stdout.close)
        self.addCleanup(node.wait)
        self.addCleanup(node.kill)
        lines = iter(node.stdout.readline, "")
        self.assertTrue(any(line == f"{BOB} offline\n" for line in lines))
        bob = self.open().start(token=token(BOB))
        self.assertTrue(any(line == f"{BOB} online\n" for line in lines))
        bob.close()

    def test_calls_of_a_program_on_the_server(self):
        answer = self.shell(snippet("A program on your server", "sh"), token(ALICE))
        self.assertIn('"user_id":3', answer)
        self.assertIn('"1":{"user_id":1', answer)

    @unittest.skipUnless(shutil.which("jq"), "jq is missing: ./bootstrap --tests")
    def test_the_first_steps_in_a_terminal(self):
        for page in FIRST_STEPS:
            answer = self.shell(snippet_of(page, "sh"))
            for part in ('"user_id":3', "event: initial", '"status":"meeting"', '{"ok":true}'):
                self.assertIn(part, answer)

    def test_the_page_of_the_first_steps(self):
        write("first.html", snippet_of(FIRST_STEPS[1], "html"))
        self.shows_what_changes("first.html")


if __name__ == "__main__":
    unittest.main()
