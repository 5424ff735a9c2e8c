"""The showcase as its tests see it: windows with two people each."""

import glob
import os

from stand import DIR, URL, BrowserCase, forget_rates, presencectl, redis_cli, wait_until

USERS = {"test": "1", "alice": "2", "bob": "3", "carol": "4", "dave": "5"}


class Window:
    """A browser window with the showcase."""

    def __init__(self, driver, url=URL + "/", first=False):
        self.driver = driver
        if not first:
            driver.switch_to.new_window("window")
        self.handle = driver.current_window_handle
        self.load(url)
        self.first = Side(self, "first")
        self.second = Side(self, "second")

    def load(self, url):
        self.driver.switch_to.window(self.handle)
        self.driver.get(url)
        self.wait_shown()

    def wait_shown(self):
        wait_until("the page is shown",
                   lambda: self.run("return document.querySelector('main')?.hidden === false"))

    def run(self, script, *args):
        self.driver.switch_to.window(self.handle)
        return self.driver.execute_script(script, *args)

    def text(self, selector):
        """What is visible there, or None."""
        return self.run("""
            const element = document.querySelector(arguments[0]);
            return element?.checkVisibility() ? element.innerText : null;""", selector)

    def find(self, selector):
        self.driver.switch_to.window(self.handle)
        return self.driver.find_element("css selector", selector)

    def log(self):
        """The event log, the newest first: [seen by, what, reason, version, after] of each row."""
        return self.run("""
            return [...document.querySelectorAll("#log tr")].map((row) =>
              ["by", "what", "reason", "version", "after"].map((name) =>
                row.querySelector(`.${name}`).textContent));""")

    def start(self):
        """Both log in with the accounts that the page offers: Alice and Bob."""
        self.find("#start").click()
        self.first.wait_live("alice")
        self.second.wait_live("bob")

    def close(self):
        self.driver.switch_to.window(self.handle)
        self.driver.close()


class Side:
    """One of the two people of a window."""

    def __init__(self, window, side):
        self.window = window
        self.root = "#" + side
        self.store = "presence-" + side

    def text(self, selector):
        return self.window.text(f"{self.root} {selector}")

    def find(self, selector):
        return self.window.find(f"{self.root} {selector}")

    def click(self, selector):
        """Wherever the page is scrolled to."""
        self.window.run("document.querySelector(arguments[0]).click()", f"{self.root} {selector}")

    def fill(self, selector, text):
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def select(self, name, value):
        """Chooses a value of a field, or checks it, as a user does."""
        self.window.run("""
            const [selector, value] = arguments;
            const field = document.querySelector(selector);
            if (typeof value === "boolean") field.checked = value; else field.value = value;
            field.dispatchEvent(new Event("change", {bubbles: true}));""",
                        f"{self.root} [name={name}]", value)

    def friend(self, name):
        """(is online, the line below the name) or None."""
        return self.window.run("""
            for (const row of document.querySelectorAll(`${arguments[0]} .friend`)) {
              if (row.querySelector(".name").innerText === arguments[1]) {
                const words = row.querySelector(".sub").innerText.trim().replace(/\\s+/g, " ");
                return [row.dataset.online === "true", words];
              }
            }
            return null;""", self.root, name)

    def press_of(self, name):
        """Presses the button beside a friend: block or unblock."""
        self.click(f'.friend[data-id="{USERS[name]}"] button')

    def choose(self, status, text="", emoji=""):
        self.fill("[name=text]", text)
        self.window.run("document.querySelector(arguments[0]).value = arguments[1]",
                        f"{self.root} [name=emoji]", emoji)
        self.click(f'.states [data-status="{status}"]')

    def state(self):
        return self.window.run("return document.querySelector(arguments[0])?.dataset.state",
                               f"{self.root} .connection")

    def token(self):
        return self.window.run("return JSON.parse(sessionStorage.getItem(arguments[0])).token",
                               self.store)

    def submit(self, email, password="password"):
        wait_until("the login form", lambda: self.text(".with-password"))
        self.fill("[name=email]", email)
        self.fill("[name=password]", password)
        self.click(".with-password button")

    def log_in(self, user):
        self.submit(user + "@example.com")
        self.wait_live(user)

    def wait_live(self, user):
        wait_until(f"{user} is live", lambda: self.state() in ("live", "polling"))
        wait_until("names instead of ids", lambda: self.friend("Dave" if user != "dave" else "Bob"))


class Case(BrowserCase):
    """Each test begins with everybody offline and nothing chosen."""

    def setUp(self):
        self.addCleanup(self.clean_up)
        self.driver.switch_to.window(self.home)
        self.page = Window(self.driver, first=True)

    def open(self, url=URL + "/"):
        return Window(self.driver, url)

    def clean_up(self):
        for handle in self.driver.window_handles:
            if handle != self.home:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.page.run("sessionStorage.clear(); localStorage.clear()")
        self.driver.get("about:blank")
        for user in USERS.values():
            presencectl("kick", user)
            redis_cli("DEL", *(f"user:{key}:{user}" for key in (
                "chosen", "settings", "cell", "blocked", "blocked_by")))
        forget_rates()

    def assert_no_token_in_logs(self):
        for name in glob.glob(os.path.join(DIR, "*.log")):
            with open(name, encoding="utf-8", errors="replace") as log:
                self.assertNotIn("eyJ", log.read(), f"{name} has a token")
