"""What `import haddock` costs."""

from __future__ import annotations

import subprocess
import sys


def loaded(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return set(ran.stdout.split())


def test_import_loads_what_is_needed_only() -> None:
    # How many, and not how long: a time would judge the machine. So many are there after some ten milliseconds.
    nothing, bare = loaded("pass"), loaded("import haddock")
    assert len(bare - nothing) < 40, sorted(bare - nothing)
    used = loaded("import haddock; haddock.Controller, haddock.HaddockError, haddock.connect") - nothing
    assert len(used) < 110, sorted(used)
    assert not bare & {"asyncio", "dataclasses", "haddock._native", "json", "click", "rich"}
    assert "asyncio" not in loaded("import haddock; haddock.connect(runtime='sim')")
