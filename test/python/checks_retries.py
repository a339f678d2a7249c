"""Checks of request ids, and of what reads promise to see."""

from __future__ import annotations

from store import Report, Store, uuid7


async def request_ids(store: Store, report: Report, run: str) -> None:
    key = f"{run}.id"
    for form, ident in (("a UUIDv7", uuid7()), ("any text", f"{run} ünïque")):
        first = await store.ask(f"incr.{key}", {"by": 5}, Kv_Request_Id=ident)
        again = await store.ask(f"incr.{key}", {"by": 5}, Kv_Request_Id=ident)
        report.equal(f"a repeated id, {form}: the first outcome", again.json, first.json)
        by_payload = {"key": key, "by": 5, "request_id": ident}
        again = await store.ask("incr", by_payload)
        report.equal(f"a repeated id, {form}: by payload too", again.json, first.json)
        got = await store.ask(f"get.{key}")
        report.equal(f"a repeated id, {form}: done once", int(got.body), first["value"])
        reply = await store.ask(f"incr.{key}", {"by": 6}, Kv_Request_Id=ident)
        report.error(f"a repeated id, {form}: for something else", reply, "bad-request")
    ident = uuid7()
    first = await store.ask(f"set.{key}", 1, Kv_Request_Id=ident, Kv_Return="previous")
    again = await store.ask(f"set.{key}", 1, Kv_Request_Id=ident, Kv_Return="previous")
    report.check(
        "a repeat has no previous", "previous" in first.json and "previous" not in again.json, again
    )
    ident = uuid7()
    reply = await store.ask(f"set.{key}", 2, Kv_Request_Id=ident, Kv_If_Revision=0)
    report.error("a conflict with an id", reply, "conflict")
    await store.ask(f"del.{key}")
    reply = await store.ask(f"set.{key}", 2, Kv_Request_Id=ident, Kv_If_Revision=0)
    report.error("a conflict is repeated, although it would hold now", reply, "conflict")
    reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=uuid7(120))
    report.error("a UUIDv7 of two minutes ago", reply, "in-doubt", retryable=False)
    report.error("and it was not done", await store.ask(f"get.{key}"), "not-found")
    reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=uuid7(-60))
    report.error("a UUIDv7 of a minute ahead", reply, "bad-request")
    reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=uuid7(30))
    report.check("a UUIDv7 of half a minute ago", reply.error is None, reply)
    for what, ident in (("an empty id", ""), ("an id of 129 bytes", "x" * 129)):
        reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=ident)
        report.error(what, reply, "bad-request")
    got = await store.ask(f"get.{key}", Kv_Request_Id=uuid7())
    report.equal("an id on get changes nothing", got.body, b"3")


async def read_levels(store: Store, report: Report, run: str) -> None:
    key = f"{run}.read"
    for count in range(20):
        written = await store.ask(f"set.{key}", count)
        got = await store.ask(f"get.{key}")
        if int(got.body) != count:
            report.equal("a linearizable read sees the write before it", got.body, count)
        got = await store.ask(
            f"get.{key}", Kv_Read="session", Kv_Min_Revision=store.seen[written["position"]]
        )
        if int(got.body) != count:
            report.equal("a session sees its own writes", got.body, count)
    report.equal("linearizable and session reads see each write before them", got.body, b"19")
    got = await store.ask(f"get.{key}", Kv_Read="stale")
    report.check("a stale read answers", got.error is None, got)
    got = await store.ask("get", {"key": key, "read": "session", "min_revision": written.revision})
    report.equal("a session by payload", got.body, b"19")
    reply = await store.ask(f"get.{key}", Kv_Read="session", Kv_Min_Revision=10**9)
    report.error("a session that waits in vain", reply, "unavailable")
    reply = await store.ask(f"get.{key}", Kv_Read="stale", Kv_Min_Revision=1)
    report.error("a stale read with a minimum", reply, "bad-request")
    await store.ask(f"del.{key}")
    report.error("a deleted key, linearizable", await store.ask(f"get.{key}"), "not-found")


ALL = (request_ids, read_levels)
