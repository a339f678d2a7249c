"""A client of a Ringdex store, as small as one can be, and the report of what was checked.

Written from docs/protocol.md alone: it imports nothing of Ringdex. Every reply that passes here is
held against what the page promises of all replies: an error has its headers and its body, and they
agree; a JSON reply has its type; a key's position is the one that the page's algorithm computes.
"""

from __future__ import annotations

import json
import os
import time
import traceback

# name → (code, retryable, written), as the page's table of errors has them.
ERRORS = {
    "bad-request": (400, False, "no"),
    "not-found": (404, False, "no"),
    "conflict": (409, False, "no"),
    "cursor-expired": (410, False, "no"),
    "too-large": (413, False, "no"),
    "limit-exceeded": (422, False, "no"),
    "overloaded": (429, True, "no"),
    "internal": (500, False, "unknown"),
    "unsupported": (501, False, "no"),
    "incomplete": (502, True, "no"),
    "unavailable": (503, True, "no"),
    "in-doubt": (504, True, "unknown"),
}

REQUEST_SECONDS = 15


def position_of(key: str, position_count: int = 1024) -> int:
    """FNV-1a 32 over the tag, or over the key without its dots."""
    start = key.find("{")
    end = key.find("}", start + 1) if start >= 0 else -1
    routed = key[start + 1 : end] if end > start + 1 else key.replace(".", "")
    value = 2166136261
    for byte in routed.encode():
        value = ((value ^ byte) * 16777619) % 2**32
    return value % position_count


def uuid7(seconds_ago: float = 0) -> str:
    """A UUID of version 7 that was made so long ago (less than 0: in the future)."""
    ms = int((time.time() - seconds_ago) * 1000)
    digits = f"{ms:012x}7{os.urandom(2).hex()[:3]}{8 + os.urandom(1)[0] % 4:x}"
    digits += os.urandom(8).hex()[:15]
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


class Broken(Exception):
    """Something is not as the page says; what was expected and what was received."""

    def __init__(self, expected: object, received: object):
        super().__init__(f"expected {expected!r}, received {received!r}")
        self.expected = expected
        self.received = received


class Reply:
    """One reply message. `error` is None, or the body's `error` member."""

    def __init__(self, verb: str, body: bytes, headers: dict):
        self.body = body
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.error = None
        code = self.headers.get("nats-service-error-code")
        is_json = code is not None or verb != "get"
        self.json = parse(body) if is_json else None
        if is_json and self.json.get("type") != f"io.ringdex.v1.{verb}_response":
            raise Broken(f"type io.ringdex.v1.{verb}_response", body)
        if code is not None:
            self.error = check_error(self.json.get("error"))
            if code != str(self.error["code"]):
                raise Broken(f"Nats-Service-Error-Code {self.error['code']}", code)
            text = self.headers.get("nats-service-error", "")
            one_line = on_one_line(self.error["description"])
            if text == "" or one_line[:100] != on_one_line(text)[:100]:
                raise Broken(f"Nats-Service-Error: {one_line}", text)
        elif is_json and "error" in self.json:
            raise Broken("no error without Nats-Service-Error-Code", body)

    @property
    def name(self) -> str | None:
        """The error's name; None = it succeeded."""
        return None if self.error is None else self.error["name"]

    def __getitem__(self, member: str):
        if self.json is None or member not in self.json:
            raise Broken(f"a reply with {member}", self.body[:500])
        return self.json[member]

    @property
    def revision(self) -> int:
        return int(self.headers["kv-revision"]) if self.json is None else self["revision"]

    def __repr__(self) -> str:
        return f"{self.headers} {self.body[:500]!r}"


def on_one_line(text: str) -> str:
    """Comparable with what became of the text in a header: control characters and spaces alike."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def parse(body: bytes) -> dict:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Broken("a JSON body", body[:500]) from error
    if not isinstance(value, dict):
        raise Broken("a JSON object", body[:500])
    return value


def check_error(error: object) -> dict:
    """The error of a reply or of an outcome, if it is one of the closed list."""
    if not isinstance(error, dict) or error.get("name") not in ERRORS:
        raise Broken("an error of the list", error)
    code, retryable, written = ERRORS[error["name"]]
    # An id that is too old makes in-doubt final, and a full log makes overloaded final.
    is_full = error["name"] == "overloaded" and error.get("limit") == "log_bytes"
    if error["name"] == "in-doubt" or is_full:
        retryable = error["retryable"]
    wanted = {"code": code, "retryable": retryable, "written": written}
    if {name: error.get(name) for name in wanted} != wanted:
        raise Broken(wanted, error)
    if not isinstance(error.get("description"), str) or error["description"] == "":
        raise Broken("a description", error)
    return error


class Store:
    """Requests to one store; remembers the revisions that replies name, as a session does."""

    def __init__(self, connection, name: str):
        self.connection = connection
        self.name = name
        self.seen: dict[int, int] = {}

    async def ask(self, tail: str, payload: object = b"", **headers: object) -> Reply:
        """`tail`: the subject after the store's name. A payload that is not bytes is sent as JSON.
        Headers by name with `_` for `-`."""
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        message = await self.connection.request(
            f"{self.name}.{tail}", body, timeout=REQUEST_SECONDS, headers=named or None
        )
        verb, _, key = tail.partition(".")
        reply = Reply(verb, message.data, message.headers)
        if reply.error is None and verb in ("set", "get", "del", "patch", "incr", "touch"):
            self._remember(verb, key or parse(body)["key"], reply)
        return reply

    def _remember(self, verb: str, key: str, reply: Reply) -> None:
        if verb == "get":
            position, revision = int(reply.headers["kv-position"]), reply.revision
        else:
            if reply["key"] != key:
                raise Broken(f"key {key!r}", reply)
            position, revision = reply["position"], reply["revision"]
        if position != position_of(key):
            raise Broken(f"position {position_of(key)} of {key!r}", reply)
        self.seen[position] = max(self.seen.get(position, 0), revision or 0)


class Report:
    """A line for each thing checked; goes on after what fails."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, what: str, holds: object, received: object, expected: object = None) -> None:
        if holds:
            self.passed += 1
            print(f"ok      {what}", flush=True)
        else:
            self._fail(what, what if expected is None else expected, received)

    def equal(self, what: str, received: object, expected: object) -> None:
        self.check(what, received == expected, received, expected)

    def error(self, what: str, reply: Reply, name: str, **details: object) -> None:
        """The reply is the error of that name, with these members."""
        received = {} if reply.error is None else reply.error
        found = {member: received.get(member) for member in details}
        self.check(what, reply.name == name and found == details, reply, f"{name} {details}")

    async def section(self, title: str, checks) -> None:
        """Runs a group of checks; one that ends early counts as failed."""
        try:
            await checks
        except Broken as broken:
            self._fail(f"{title}: {place(broken)}", broken.expected, broken.received)
        except Exception as error:
            self._fail(f"{title}: {place(error)}", "no exception", repr(error))
            traceback.print_exc()

    def _fail(self, what: str, expected: object, received: object) -> None:
        self.failed += 1
        print(
            f"FAILED  {what}\n        expected {expected}\n        received {received}", flush=True
        )


def place(error: BaseException) -> str:
    """The line of the checks that the exception came out of."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "check" in os.path.basename(frame.filename)]
    frame = own[-1] if own else frames[-1]
    return f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.line}"
