"""What the browser tests share: the stack's programs, a browser, waiting for what must come.

stand.sh starts the stack (without presence-streamd, which is the tests' to kill) and sets DEMO_URL,
DEMO_DIR, DEMO_SRCDIR and DEMO_BUILDDIR; and PLAIN_PORT, free for a site without streams.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

URL = os.environ["DEMO_URL"]
DIR = os.environ["DEMO_DIR"]
SOURCE = os.environ["DEMO_SRCDIR"]
BUILD = os.environ["DEMO_BUILDDIR"]
PLAIN_PORT = os.environ["PLAIN_PORT"]
CONFIG = os.path.join(DIR, "presence.conf")
DEADLINE = 30  # seconds that anything may take
GRACE = int(os.environ["PRESENCE_PRESENCE_GRACE"])
SWEEP = 1


def wait_until(what, seen, deadline=DEADLINE):
    """Polls seen() until it returns a true value, and returns that."""
    end = time.monotonic() + deadline
    while True:
        try:
            value = seen()
        except StaleElementReferenceException:
            value = None  # the page was just drawn anew
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"expected within {deadline} s: {what}; last seen: {value!r}")
        time.sleep(0.05)


class Streamd:
    """presence-streamd, as an operator would start and kill it."""

    def __init__(self):
        self.log = open(os.path.join(DIR, "streamd.log"), "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "src/presence-streamd"), "-c", CONFIG],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.log.close()


def streams_answer():
    """Whether a stream without a token is refused by presence-streamd itself."""
    try:
        urllib.request.urlopen(URL + "/api/presence/stream", timeout=DEADLINE).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        pass
    return False


class Site:
    """One more lighttpd in front of the stack's programs; `conf` is its configuration."""

    def __init__(self, name, url, conf):
        self.url = url
        self.name = name
        self.conf = os.path.join(DIR, name + ".conf")
        with open(self.conf, "w", encoding="utf-8") as out:
            out.write(conf)
        self.process = None

    def answers(self):
        try:
            context = ssl._create_unverified_context()
            with urllib.request.urlopen(self.url + "/api/health", timeout=DEADLINE,
                                        context=context) as answer:
                return answer.status == 200
        except OSError:
            return False

    def start(self):
        with open(os.path.join(DIR, self.name + ".log"), "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/lighttpd", "-D", "-f", self.conf],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(f"the site {self.name} answers", self.answers)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


PLAIN_CONF = '''
server.document-root = "{source}/src/web"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{dir}/plain-error.log"
server.modules = ( "mod_setenv", "mod_alias", "mod_cgi" )
server.feature-flags += ( "server.graceful-shutdown-timeout" => 1 )
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html; charset=utf-8", ".js" => "text/javascript",
                    ".css" => "text/css", ".svg" => "image/svg+xml" )
alias.url = ( "/api" => "{build}/src/presence-api" )
$HTTP["url"] =^ "/api" {{
    cgi.assign = ( "" => "" )
    setenv.add-environment = ( "PRESENCE_CONFIG" => "{dir}/presence.conf" )
}}
'''


class PlainCgi(Site):
    """A site that starts presence-api for each request and has no streams."""

    URL = f"http://localhost:{PLAIN_PORT}"

    def __init__(self):
        super().__init__("plain", self.URL, PLAIN_CONF.format(
            source=SOURCE, build=BUILD, dir=DIR, port=PLAIN_PORT))


HTTP2_CONF = '''
server.document-root = "{source}/src/web"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{dir}/http2-error.log"
server.modules = ( "mod_openssl", "mod_fastcgi" )
server.feature-flags += ( "server.graceful-shutdown-timeout" => 1 )
ssl.engine = "enable"
ssl.pemfile = "{dir}/http2.pem"
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html; charset=utf-8", ".js" => "text/javascript",
                    ".css" => "text/css", ".svg" => "image/svg+xml" )
fastcgi.server = (
    "/api/presence/stream" => (( "socket" => "{run}/stream.sock", "check-local" => "disable",
                                 "tcp-fin-propagate" => "enable", "disable-time" => 0 )),
    "/api/" => (( "socket" => "{run}/api.sock-0", "check-local" => "disable" )),
)
$HTTP["url"] =^ "/api/presence/stream" {{ server.stream-response-body = 2 }}
'''


class Http2(Site):
    """The same with TLS, so that browsers speak HTTP/2 to it."""

    def __init__(self):
        port = PLAIN_PORT
        pem = os.path.join(DIR, "http2.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", pem + ".key", "-out", pem + ".crt"],
                       check=True, capture_output=True, timeout=DEADLINE)
        with open(pem, "w", encoding="utf-8") as out:
            for part in (".key", ".crt"):
                with open(pem + part, encoding="utf-8") as text:
                    out.write(text.read())
        super().__init__("http2", f"https://localhost:{port}", HTTP2_CONF.format(
            source=SOURCE, run=run_directory(), dir=DIR, port=port))


def run_directory():
    """Where the stack has its sockets."""
    with open(CONFIG, encoding="utf-8") as conf:
        return re.search(r"unix:(\S+)/stream\.sock", conf.read()).group(1)


def start_browser(profile, *flags):
    options = Options()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                 "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                 # A window in the background is to be as live as the one in front.
                 "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
                 "--disable-backgrounding-occluded-windows",
                 "--window-size=900,800", f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)


class BrowserCase(unittest.TestCase):
    """A browser, started with `flags`, and presence-streamd, for all tests of a class."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.mkdtemp(prefix="chromium.", dir=os.path.dirname(DIR))
        cls.addClassCleanup(shutil.rmtree, cls.profile, ignore_errors=True)
        cls.streamd = Streamd()
        cls.streamd.start()
        cls.addClassCleanup(cls.streamd.stop)
        cls.driver = start_browser(cls.profile, *cls.flags)
        cls.addClassCleanup(cls.driver.quit)
        cls.home = cls.driver.current_window_handle


def presencectl(*args):
    return subprocess.run([os.path.join(BUILD, "src/presencectl"), "-c", CONFIG, *args],
                          check=True, capture_output=True, text=True, timeout=DEADLINE).stdout


def redis_cli(*args):
    return subprocess.run(["redis-cli", "-s", os.path.join(DIR, "redis.sock"), *args], check=True,
                          capture_output=True, text=True, timeout=DEADLINE).stdout


def forget_rates():
    """What one test did often is not held against the next one."""
    for key in redis_cli("--scan", "--pattern", "presence:rate:*").split():
        redis_cli("DEL", key)


def version_of(user):
    """The number that each transition of the user raises."""
    return json.loads(presencectl("--json", "status", user))[0]["version"]
