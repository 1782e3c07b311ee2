"""How long a command takes before it does anything.

Help and lists import no torch, so they are compared with the imports they cannot do without; the help of a run
imports the named model and with it torch, but not lightning.  Wall time of whole processes, one of each in
turn, medians:

    factorexe --help, tasks list, tasks show    over    python -c "import pydantic_settings, numpy"    goal <= 4
    factorexe fit --task multiplication --help  over    python -c "import torch"                       goal <= 1.6

    python benchmarks/startup.py [repetitions]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from quiet import warn_if_busy

LIGHT, HEAVY = "import pydantic_settings, numpy", "import torch"
COMMANDS = {
    "--help": (LIGHT, 4.0, "torch"),
    "tasks list": (LIGHT, 4.0, "torch"),
    "tasks show multiplication": (LIGHT, 4.0, "torch"),
    "fit --task multiplication --help": (HEAVY, 1.6, "lightning"),
}


def seconds(words: list[str]) -> float:
    """Wall time of one process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def imports(command: str, module: str) -> bool:
    """Whether the command imports the module."""
    words = [sys.executable, "-X", "importtime", "-m", "factorexe", *command.split()]
    report = subprocess.run(words, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stderr
    return any(line.rpartition("|")[2].strip() == module for line in report.splitlines())


def main(repetitions: int) -> None:
    """Measure and print."""
    processes = {code: ["-c", code] for code in (LIGHT, HEAVY)}
    processes |= {command: ["-m", "factorexe", *command.split()] for command in COMMANDS}
    for words in processes.values():
        seconds(words)  # once for the file cache
    times: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(repetitions):
        for name, words in processes.items():
            times[name].append(seconds(words))
    median = {name: statistics.median(values) for name, values in times.items()}
    for code in (LIGHT, HEAVY):
        print(f"{median[code]:.3f} s  python -c {code!r}")
    for command, (baseline, goal, unwanted) in COMMANDS.items():
        ratio = median[command] / median[baseline]
        spread = f"{min(times[command]):.3f} to {max(times[command]):.3f}"
        print(f"{median[command]:.3f} s  ({spread})  {ratio:.2f} x  factorexe {command}")
        clean = not imports(command, unwanted)
        print(f"{'PASS' if ratio <= goal else 'MISS'}  {command}: {ratio:.2f} x {baseline!r}, goal <= {goal}")
        print(f"{'PASS' if clean else 'MISS'}  {command}: {unwanted} is {'not ' if clean else ''}imported")


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
