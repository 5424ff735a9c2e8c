"""How the pages look and read: sizes, colours, languages, the keyboard alone, axe-core (stand.py)."""

import os
import re
import subprocess
import unittest
import urllib.error
import urllib.request

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from showcase import Case
from stand import CONFIG, DEADLINE, SOURCE, URL, presencectl, wait_until

NPM = os.path.join(SOURCE, "tests/npm")
AXE = os.path.join(NPM, "node_modules/axe-core/axe.min.js")
PAGES = ("index.html", "dashboard.html")
LOOKS = {
    "light": {"prefers-color-scheme": "light"},
    "dark": {"prefers-color-scheme": "dark"},
    "forced colours": {"forced-colors": "active"},
}


class Page(Case):
    def look(self, name):
        """Shows the page as with these settings of the system, without motion."""
        features = {"prefers-reduced-motion": "reduce", **LOOKS[name]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": feature, "value": value} for feature, value in features.items()]})
        self.addCleanup(self.driver.execute_cdp_cmd, "Emulation.setEmulatedMedia", {"features": []})

    def resize(self, width, height=800):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.addCleanup(self.driver.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})

    def assert_axe_is_silent(self, what):
        with open(AXE, encoding="utf-8") as axe:
            self.page.run(axe.read())
        found = self.driver.execute_async_script("""
            const [done] = arguments;
            axe.run({resultTypes: ["violations"]}).then(({violations}) => done(
              violations.flatMap(({id, nodes}) => nodes.map(
                ({target, failureSummary}) => `${id}: ${target}: ${failureSummary}`))));""")
        self.assertEqual(found, [], what)

    def show_everything(self):
        self.page.run("for (const details of document.querySelectorAll('details')) details.open = true")

    def focus(self):
        """What has the focus: the element's classes, name or id."""
        return self.page.run("""
            const {className, name, id, tagName} = document.activeElement;
            return [id, name, className].find(Boolean) ?? tagName;""")

    def press(self, *keys):
        self.page.run("")  # this window
        ActionChains(self.driver).send_keys(*keys).perform()

    def tab_to(self, selector):
        """Moves on with the Tab key alone until the element has the focus."""
        for _ in range(60):
            self.press(Keys.TAB)
            if self.page.run("return document.activeElement.matches(arguments[0])", selector):
                return
        self.fail(f"{selector} is not reached with the Tab key; the focus is on {self.focus()}")


class Showcase(Page):
    @unittest.skipUnless(os.path.exists(AXE), "npm's tools are missing: ./bootstrap --tests")
    def test_axe_finds_nothing(self):
        for name in LOOKS:
            self.look(name)
            self.show_everything()
            self.assert_axe_is_silent(f"login, {name}")
        self.page.start()
        self.page.first.choose("meeting", "Room 4", "\u2615")
        self.page.second.choose("invisible")
        self.page.second.choose("")
        wait_until("Bob sees it", lambda: "Room 4" in self.page.second.friend("Alice")[1])
        for name in LOOKS:
            self.look(name)
            self.show_everything()
            self.assert_axe_is_silent(f"logged in, {name}")

    @unittest.skipUnless(os.path.exists(AXE), "npm's tools are missing: ./bootstrap --tests")
    def test_axe_finds_nothing_while_the_connection_is_lost(self):
        self.page.start()
        self.streamd.kill()
        try:
            wait_until("why is told", lambda: self.page.first.text(".problem"))
            for name in LOOKS:
                self.look(name)
                self.assert_axe_is_silent(f"without a stream, {name}")
        finally:
            self.streamd.start()

    def test_a_long_name_leaves_room_for_the_rest(self):
        name = "N" * 64
        user = add_user(name)
        presencectl("friend", "add", user, "2")
        self.addCleanup(presencectl, "friend", "remove", user, "2")
        for width in (320, 390, 1280):
            self.resize(width)
            self.page.load(URL + "/")
            if self.page.first.text(".with-password"):
                self.page.first.submit("alice@example.com")
                self.page.second.submit("long@example.com")
            wait_until("the long name is there", lambda: self.page.first.friend(name))
            wait_until("both are live", lambda: self.page.first.state() == "live"
                       and self.page.second.state() == "live")
            self.assertLessEqual(
                self.page.run("return document.documentElement.scrollWidth"), width)
            outside = self.page.run("""
                return [...document.querySelectorAll("main button, main input, main select")]
                  .filter((element) => element.checkVisibility())
                  .filter((element) => element.getBoundingClientRect().right > innerWidth)
                  .map((element) => element.outerHTML);""")
            self.assertEqual(outside, [], f"beyond the edge of {width} px")
            self.assertTrue(self.page.second.text(".log-out"))

    def test_dots_differ_without_colours(self):
        self.page.start()
        for name in ("forced colours", "light"):
            self.look(name)
            dots = self.page.run("""
                const names = ["online", "away", "busy", "meeting", "dnd", "offline", "unknown"];
                document.body.replaceChildren(...names.map((status) => {
                  const dot = document.createElement("span");
                  dot.className = "dot";
                  dot.dataset.status = status;
                  dot.style.margin = "9px";
                  return dot;
                }));
                return [...document.querySelectorAll(".dot")];""")
            pictures = {dot.screenshot_as_base64 for dot in dots}
            self.assertEqual(len(pictures), len(dots), f"dots look the same in {name}")

    def test_the_focus_goes_where_the_next_step_is(self):
        self.page.find("#first [name=password]").send_keys(Keys.ENTER)
        self.page.first.wait_live("alice")
        self.assertEqual(self.focus(), "my-name")
        self.tab_to("#first .log-out")
        self.press(Keys.ENTER)
        wait_until("the login form", lambda: self.page.first.text(".with-password"))
        self.assertEqual(self.focus(), "email")

    def test_the_keyboard_alone(self):
        self.tab_to("#start")
        self.press(Keys.ENTER)
        self.page.first.wait_live("alice")
        self.page.second.wait_live("bob")
        wait_until("Alice's name has the focus", lambda: self.focus() == "my-name")
        self.tab_to("#first .states [data-status=busy]")
        self.press(Keys.SPACE)
        wait_until("Bob sees it", lambda: self.page.second.friend("Alice")[1] == "Busy")
        self.tab_to("#first .message")
        self.press("hello")
        wait_until("Bob sees it", lambda: self.page.second.friend("Alice")[1] == "Typing\u2026")
        self.tab_to("#first summary")
        self.press(Keys.ENTER)
        self.tab_to("#first [name=nearby]")
        self.press(Keys.SPACE)
        wait_until("a place can be shared", self.page.first.find("[name=place]").is_enabled)
        # A row that moves keeps the focus of its button.
        self.tab_to('#second .friend[data-id="2"] button')
        self.press(Keys.ENTER)
        wait_until("Alice is blocked", lambda: self.page.second.friend("Alice")[1] == "Never seen")
        self.assertEqual(self.page.run("return document.activeElement.getAttribute('aria-label')"),
                         "Unblock Alice")


class Languages(Page):
    flags = ("--lang=ko", "--accept-lang=ko-KR,ko,en")

    def language(self):
        return self.page.run("return document.documentElement.lang")

    def test_the_browsers_language_and_one_chosen_by_hand(self):
        self.assertEqual(self.language(), "ko")
        self.page.start()
        wait_until("Bob is online", lambda: self.page.first.friend("Bob") == [True, "온라인"])
        self.assertEqual(self.page.first.text(".connection"), "실시간")
        self.page.find("[data-language=en]").click()
        self.assertEqual(self.language(), "en")
        self.assertEqual(self.page.first.friend("Bob"), [True, "Online"])
        self.assertEqual(self.page.first.text(".connection"), "Live")
        self.page.load(URL + "/")
        self.assertEqual(self.language(), "en")
        self.page.find("[data-language=ko]").click()
        self.assertEqual(self.language(), "ko")

    def test_nothing_is_left_in_english(self):
        self.page.start()
        self.show_everything()
        wait_until("all is there", lambda: self.page.second.state() == "live")
        left = self.page.run("""
            const names = /^(Alice|Bob|Carol|Dave|Test|English|Presence|presencectl token ID)$/;
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const left = [];
            while (walker.nextNode()) {
              const {data, parentElement} = walker.currentNode;
              if (parentElement.closest("script, template, pre, noscript, #log, #ticker")) continue;
              if (/[a-z]{3}/i.test(data) && !/[가-힣]/.test(data) && !names.test(data.trim())) {
                left.push(data.trim());
              }
            }
            return left;""")
        self.assertEqual(left, [])


class Files(Page):
    """What the pages are made of."""

    def test_both_languages_have_the_same_texts(self):
        texts = self.page.driver.execute_async_script("""
            const [done] = arguments;
            import("/texts.js").then(({TEXTS}) => done(TEXTS));""")
        names = {language: {key: sorted(re.findall(r"\{\w+\}", text))
                            for key, text in table.items()} for language, table in texts.items()}
        self.assertEqual(names["ko"], names["en"])
        self.assertEqual([key for key, text in texts["ko"].items() if re.search(
            "[a-z]{3}", re.sub(r"\{\w+\}", "", text)) and not re.search("[가-힣]", text)],
                         [])
        used = set()
        for name in os.listdir(os.path.join(SOURCE, "src/web")):
            if name.endswith((".js", ".html")) and name != "texts.js":
                with open(os.path.join(SOURCE, "src/web", name), encoding="utf-8") as file:
                    used |= set(re.findall(r"\w+\.\w+", file.read()))
        families = ("status.", "connection.", "bye.", "error.", "login.", "partition.")  # named with a variable
        self.assertEqual([key for key in texts["en"]
                          if key not in used and not key.startswith(families)], [])

    def test_there_are_no_inline_scripts_or_styles(self):
        for name in PAGES:
            with open(os.path.join(SOURCE, "src/web", name), encoding="utf-8") as file:
                text = file.read()
            self.assertNotRegex(text, r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=")
        self.page.start()
        refused = [entry["message"] for entry in self.driver.get_log("browser")
                   if "Content Security Policy" in entry["message"]]
        self.assertEqual(refused, [])

    def test_they_are_served_as_the_web_servers_configuration_says(self):
        with urllib.request.urlopen(URL + "/presence", timeout=DEADLINE) as answer:
            self.assertEqual(answer.url, URL + "/presence/")
            self.assertIn("frame-ancestors 'none'", answer.headers["Content-Security-Policy"])
            self.assertIn(b"showcase.js", answer.read())
        self.page.load(URL + "/presence/")
        self.page.start()


def add_user(name):
    """The id of a new account, long@example.com."""
    return subprocess.run(
        [os.path.join(os.environ["DEMO_BUILDDIR"], "src/presencectl"), "-c", CONFIG, "user", "add",
         "--email", "long@example.com", "--name", name], input="password\n", check=True,
        capture_output=True, text=True, timeout=DEADLINE).stdout.strip()


if __name__ == "__main__":
    unittest.main()
