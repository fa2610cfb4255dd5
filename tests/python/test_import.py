"""What `import haddock` costs."""

from __future__ import annotations

import subprocess
import sys
import time


def seconds(code: str) -> float:
    """The best of several runs of an interpreter: what else the machine does only makes it longer."""

    def once() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begun

    return min(once() for _ in range(7))


def loaded(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return set(ran.stdout.split())


def test_import_costs_less_than_60_ms() -> None:
    bare = seconds("pass")
    costs = seconds("import haddock") - bare
    assert costs < 0.060, f"{costs * 1000:.0f} ms"
    used = seconds("import haddock; haddock.Controller, haddock.HaddockError, haddock.connect") - bare
    assert used < 0.150, f"{used * 1000:.0f} ms"


def test_import_loads_what_is_needed_only() -> None:
    bare = loaded("import haddock")
    assert not bare & {"asyncio", "dataclasses", "haddock._native", "json", "click", "rich"}
    assert "asyncio" not in loaded("import haddock; haddock.connect(runtime='sim')")
