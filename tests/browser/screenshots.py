"""make screenshots: pictures of the pages for the documents, docs/screens/*.png (stand.py).

With the same fonts wherever they are made, and as few colours as the eye needs.
"""

import os
import shutil
import subprocess
import tempfile
import time

import load
from showcase import Window
from stand import DIR, SOURCE, URL, Streamd, presencectl, start_browser, wait_until

OUT = os.path.join(SOURCE, "docs/screens")
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  <alias binding="strong"><family>system-ui</family><prefer>
    <family>Inter</family><family>NanumGothic</family><family>Noto Color Emoji</family>
  </prefer></alias>
  <alias binding="strong"><family>sans-serif</family><prefer>
    <family>Inter</family><family>NanumGothic</family><family>Noto Color Emoji</family>
  </prefer></alias>
</fontconfig>
"""
WIDE, PHONE = (1280, 1000), (390, 844)
CHARTS = 125  # seconds that the charts show, and some


def use_fonts():
    path = os.path.join(DIR, "fonts.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(FONTS)
    os.environ["FONTCONFIG_FILE"] = path


def look(driver, colours):
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": colours},
        {"name": "prefers-reduced-motion", "value": "reduce"}]})


def resize(driver, size):
    width, height = size
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})


def shoot(driver, name, size):
    resize(driver, size)
    driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    path = os.path.join(OUT, name + ".png")
    driver.save_screenshot(path)
    subprocess.run(["pngquant", "--force", "--skip-if-larger", "--output", path, "128", path],
                   check=False)
    print(name, os.path.getsize(path), "bytes")


def show_showcase(driver):
    look(driver, "light")
    resize(driver, WIDE)
    page = Window(driver, first=True)
    page.start()
    for side in (page.first, page.second):
        side.select("nearby", True)
        wait_until("a place can be shared", side.find("[name=place]").is_enabled)
    page.first.select("place", "seoul")
    page.second.select("place", "namdaemun")
    wait_until("they are near", lambda: "Nearby" in page.second.friend("Alice")[1])
    page.first.choose("meeting", "Room 4", "\u2615")
    wait_until("Bob sees it", lambda: "Room 4" in page.second.friend("Alice")[1])
    page.second.click(".step-away")
    wait_until("Alice sees it", lambda: "Away" in page.first.friend("Bob")[1])
    driver.execute_script("for (const row of document.querySelectorAll('.fresh')) row.classList.remove('fresh')")
    shoot(driver, "showcase-1280", WIDE)
    shoot(driver, "showcase-390", PHONE)
    look(driver, "dark")
    driver.execute_script("document.querySelector('[data-language=ko]').click()")
    shoot(driver, "showcase-1280-dark-ko", WIDE)
    driver.execute_script("document.querySelector('[data-language=en]').click()")


def show_dashboard(driver):
    people = load.Load()
    page = Window(driver, URL + "/dashboard.html", first=True)
    look(driver, "light")
    page.find("#token").send_keys(presencectl("token", "1", "--scope", "admin").strip(), "\n")
    people.start()
    start = time.monotonic()
    wait_until("full charts", lambda: time.monotonic() - start > CHARTS, 2 * CHARTS)
    page.find("[name=id]").send_keys(str(load.FIRST))
    page.find("[name=viewer]").send_keys(str(load.FIRST + 1), "\n")
    wait_until("the user", lambda: page.text("#conclusion"))
    resize(driver, WIDE)
    full = (1280, driver.execute_script("return document.documentElement.scrollHeight"))
    shoot(driver, "dashboard-1280", full)
    shoot(driver, "dashboard-390", PHONE)
    look(driver, "dark")
    shoot(driver, "dashboard-1280-dark", full)
    people.stop()


def main():
    os.makedirs(OUT, exist_ok=True)
    use_fonts()
    profile = tempfile.mkdtemp(dir=os.path.dirname(DIR))
    streamd = Streamd()
    streamd.start()
    driver = start_browser(profile, "--hide-scrollbars", "--lang=en")
    try:
        show_showcase(driver)
        show_dashboard(driver)
    finally:
        driver.quit()
        streamd.stop()
        shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    main()
