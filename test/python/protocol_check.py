"""Goes through the protocol of a running Ringdex store, as a client that knows nothing of it.

Written from docs/protocol.md alone, with nats-py and nothing of Ringdex. It writes keys of its own
(they begin with "py-" and random letters) and leaves them there.

    python test/python/protocol_check.py --url nats://127.0.0.1:4222

Prints a line for each thing checked and ends with 0 if all held, otherwise with 1 and, for what did
not hold, with what was expected and received.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import nats

import checks_batches
import checks_events
import checks_keys
import checks_queries
import checks_retries
import checks_store
import checks_values
import checks_writes
from store import Report, Store

BEFORE = (
    *checks_keys.ALL,
    *checks_writes.ALL,
    *checks_values.ALL,
    *checks_retries.ALL,
    *checks_batches.ALL,
    *checks_queries.ALL,
    *checks_store.ALL,
)


async def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default="nats://127.0.0.1:4222", help="the nats-server")
    parser.add_argument("--store", default="kv", help="the store's name")
    parser.add_argument(
        "--without-mapping", action="store_true", help="the nats-server does not map keys"
    )
    options = parser.parse_args()
    connection = await nats.connect(options.url, max_reconnect_attempts=2, connect_timeout=10)
    store = Store(connection, options.store)
    report = Report()
    run = f"py-{os.urandom(4).hex()}"
    for checks in (*BEFORE, checks_events.changes):
        await report.section(checks.__name__, checks(store, report, run))
    mapped = not options.without_mapping
    about = checks_store.about_the_store(store, report, mapped)
    await report.section("about_the_store", about)
    # Last: it looks for the events of everything before it.
    await report.section("history", checks_events.history(store, report))
    await connection.close()
    print(f"{report.passed} checked, {report.failed} failed")
    return 0 if report.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
