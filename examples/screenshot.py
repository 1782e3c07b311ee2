"""Photograph a run in TensorBoard, the splits on one chart: the README's picture.

    python examples/screenshot.py runs/multiplication/transformer/<id> docs/tensorboard.png

You should see the tab Custom Scalars with the chart "solved" as wide as the page, and under it what its lines are:
solved/seen and solved/val, which rise together, and solved/ood.

Needs selenium (pip install ".[dev]"), and Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 60  # seconds, for a page or a server on a busy machine
FLAGS = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"]
FLAGS += ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

# TensorBoard's pages are components within components, each hidden from the selectors of the page around it.
DEEP = """
const deep = (root, selector) => !root ? [] : [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap(part => deep(part.shadowRoot, selector))];
"""


@contextlib.contextmanager
def tensorboard(run: Path) -> Iterator[str]:
    """The address at which TensorBoard shows the run, once it has read it."""
    with tempfile.TemporaryFile("w+") as log:
        words = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run), "--host", "127.0.0.1", "--port", "0"]
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield _address(server, log)
        finally:
            server.terminate()
            server.wait()


def _address(server: subprocess.Popen, log: Any) -> str:
    began = time.monotonic()
    while server.poll() is None and time.monotonic() - began < PATIENCE:
        log.seek(0)
        if (said := re.search(r"http://127\.0\.0\.1:\d+/", log.read())) and _has_read(said[0]):
            return said[0]
        time.sleep(0.1)
    log.seek(0)
    raise RuntimeError(f"TensorBoard shows no scalars after {time.monotonic() - began:.0f} s; it said:\n{log.read()}")


def _has_read(address: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{address}data/plugin/scalars/tags", timeout=PATIENCE) as answer:
        return bool(json.load(answer))


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium without a screen, and with nothing remembered."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        install = "apt-get install chromium chromium-driver"
        raise FileNotFoundError(f"{' and '.join(missing)} not found on PATH; as root: {install}")
    os.environ.update(SE_OFFLINE="true", SE_AVOID_STATS="true")  # selenium fetches no driver and counts nobody
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in [*FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


def resize(driver: webdriver.Chrome, width: int, height: int, scale: float = 1.0) -> None:
    """Give the page so many pixels, each drawn ``scale`` times as wide and high."""
    size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def wait(driver: webdriver.Chrome, script: str) -> Any:
    """What the script returns, as soon as that is neither null, false, 0 nor empty."""
    try:
        return WebDriverWait(driver, PATIENCE).until(lambda driver: driver.execute_script(DEEP + script))
    except TimeoutException:
        text = driver.find_element("tag name", "body").text
        raise TimeoutException(f"still nothing after {PATIENCE} s:\n{script}\n{driver.current_url}\n{text}") from None


def photograph(driver: webdriver.Chrome, address: str, target: Path) -> None:
    """The first chart of Custom Scalars, as wide as the page, and what its lines are."""
    card = "deep(document, 'tf-custom-scalar-multi-line-chart-card')[0]?.shadowRoot"
    resize(driver, 1180, 710, scale=1.4)
    driver.get(f"{address}#custom_scalars&_smoothingWeight=0")
    wait(driver, f"return deep({card}, 'path.line').length")
    for button in ("[icon=fullscreen]", ".toggle-matches-button"):
        driver.execute_script(f"{DEEP} {card}.querySelector('{button}').click()")
    wait(driver, f"return deep({card}, '.iron-collapse-opened').length")
    wait(driver, f"return deep({card}, 'path.line')[0].getBoundingClientRect().width > 500")
    driver.save_screenshot(str(target))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/screenshot.py RUN TARGET.png")
    with tensorboard(Path(sys.argv[1])) as shown, browser() as chromium:
        photograph(chromium, shown, Path(sys.argv[2]))
