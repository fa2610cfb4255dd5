#!/usr/bin/env python3
"""Releases the demo application and shows how it goes: `python examples/ops_release.py v2`, or `… v2 --async`.

It works with whatever `haddock.connect()` finds: a Docker Engine and the gateway of `haddock serve`, or, with
`HADDOCK_RUNTIME=sim`, a simulated world. Killed and run again, it goes on.
"""

import asyncio
import sys
from pathlib import Path

import haddock

COMPOSE = Path(__file__).parent / "compose" / "demo.yaml"


def show(event: haddock.Event) -> None:
    print(f"{event.at:%T}  {event.phase or '':<10} {event.share_in_force:>4.0%}  {event.message}", flush=True)


def release(tag: str) -> None:
    with haddock.connect() as h:
        for event in h.release(COMPOSE, tag=tag).events(until="gone"):
            show(event)


async def release_async(tag: str) -> None:
    async with haddock.connect() as h:
        async for event in (await h.release_async(COMPOSE, tag=tag)).events(until="gone"):
            show(event)


if __name__ == "__main__":
    tag = next((word for word in sys.argv[1:] if not word.startswith("-")), "v1")
    try:
        asyncio.run(release_async(tag)) if "--async" in sys.argv else release(tag)
    except haddock.HaddockError as error:
        sys.exit(f"{error}\nhint: {error.hint}" if error.hint else str(error))
