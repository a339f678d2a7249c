/**
 * What an entry and its outcome row make, what a marker tells, and what counts as published.
 */
import { expect } from "chai";
import {
  changesOf,
  eventOf,
  markerEvent,
  Published,
  readMarker,
  resetOf,
} from "../../../actors/relay/relay-core.js";
import { KvError } from "../../../protocol/errors.js";
import type {
  LogId,
  NodeName,
  Position,
  Revision,
  Sequence,
  TimeMs,
} from "../../../protocol/ids.js";
import { decodeEntry, isEntry, type Entry } from "../../../protocol/log/entry.js";
import type { Done } from "../../../protocol/operation.js";
import type { OperationOutcome, OutcomeRow } from "../../../protocol/store/outcome-row.js";
import type { Wanted } from "../../support/log-writer.js";
import { EntryWriter, names } from "../../support/relay-shard.js";

const logTime = Date.UTC(2026, 0, 31, 12) as TimeMs;

const value = Buffer.from('{"n":1}');

const set = (key: string): Wanted => ({
  verb: "set",
  key,
  value,
  contentType: "application/json",
  ttl: "never",
});

describe("changes of an entry", () => {
  it("takes a set's value from the entry, and what a patch or increment left from the row", () => {
    const left = { contentType: "application/msgpack", value: Buffer.from([1]) } as const;
    const entry = entryOf(set("a"), { verb: "incr", key: "a", path: "n", by: 1, ttl: "keep" });
    const outcomes = [done("set", 0, 1), { ...done("incr", 0, 2, logTime), result: left }];
    const [first, second] = changesOf(entry, row(outcomes));
    expect(first).to.include({ op: "set", key: "a", revision: 1, expiresAt: 0 });
    expect(first?.content?.type).to.equal("application/json");
    expect(Buffer.from(first?.content?.value ?? []).toString()).to.equal('{"n":1}');
    expect(second).to.include({ op: "set", revision: 2, updatedAt: logTime, expiresAt: logTime });
    expect(second?.content).to.deep.equal({ type: left.contentType, value: left.value });
  });

  it("leaves out what changed nothing: repeats, refusals, checks, deletes of nothing", () => {
    const refused = { ok: false, error: new KvError("conflict", "") } as const;
    const entry = entryOf(set("a"), set("b"), { verb: "del", key: "c" }, { verb: "del", key: "d" });
    const outcomes = [
      { ...done("set", 0, 5), changed: false },
      { ...done("set", 0, 0), changed: false, outcome: refused },
      { ...done("del", 0, 0), changed: false },
      done("del", 1, 7),
    ];
    const changes = changesOf(entry, row(outcomes));
    expect(changes).to.have.length(1);
    expect(changes[0]).to.include({ op: "del", key: "d", revision: 7 });
    expect(changes[0]?.content).to.equal(undefined);
  });

  it("puts records that came due between the operations, by revision", () => {
    const entry = entryOf(set("a"), set("b"), set("c"));
    const expired = [
      { position: 1 as Position, revision: 4 as Revision, key: "due" },
      { position: 0 as Position, revision: 9 as Revision, key: "b" },
    ];
    const outcomes = [done("set", 0, 8), done("set", 0, 10), done("set", 1, 5)];
    const changes = changesOf(entry, row(outcomes, expired));
    const told = changes.map(({ op, key, position, revision }) => [op, key, position, revision]);
    expect(told).to.deep.equal([
      ["set", "a", 0, 8],
      ["expire", "b", 0, 9],
      ["set", "b", 0, 10],
      ["expire", "due", 1, 4],
      ["set", "c", 1, 5],
    ]);
  });

  it("is nothing where the entry was skipped", () => {
    expect(changesOf(entryOf(set("a")), row([]))).to.deep.equal([]);
  });
});

describe("an event", () => {
  it("has the value and its headers", () => {
    const [change] = changesOf(entryOf(set("a b%")), row([done("set", 3, 8, logTime)]));
    expect(change && eventOf(names, change)).to.deep.equal({
      subject: "kv.event.set._",
      headers: [
        ["Kv-Key", "a%20b%25"],
        ["Kv-Position", "3"],
        ["Kv-Revision", "8"],
        ["Kv-Updated-At", "2026-01-31T12:00:00.000Z"],
        ["Kv-Expires-At", "2026-01-31T12:00:00.000Z"],
        ["Content-Type", "application/json"],
      ],
      data: value,
    });
  });

  it("of a reset names no key and has no body", () => {
    const event = eventOf(names, resetOf(2 as Position, 8 as Revision, logTime));
    expect(event.subject).to.equal("kv.event.reset._");
    expect(event.headers.map(([name]) => name)).to.deep.equal([
      "Kv-Position",
      "Kv-Revision",
      "Kv-Updated-At",
    ]);
    expect(event.data.length).to.equal(0);
  });
});

describe("a marker", () => {
  const marker = {
    sequence: 7 as Sequence,
    logId: "00000000000000a1" as LogId,
    node: "n1" as NodeName,
    relay: "ab",
  };
  const stored = (data: Uint8Array): Parameters<typeof readMarker>[0] => ({
    sequence: 40 as Sequence,
    subject: "kv.relay.s1",
    headers: undefined,
    data,
  });

  it("is read as it was written, and begins at itself unless it says otherwise", () => {
    const own = markerEvent("kv.relay.s1", { ...marker, since: undefined });
    expect(readMarker(stored(own.data))).to.deep.equal({ ...marker, since: 40 });
    const earlier = markerEvent("kv.relay.s1", { ...marker, since: 30 as Sequence });
    expect(readMarker(stored(earlier.data))).to.deep.equal({ ...marker, since: 30 });
    expect(own.subject).to.equal("kv.relay.s1");
  });

  it("is none if it was made by something else", () => {
    for (const text of ["", "x", "null", "7", "{}", '{"sequence":"7","log_id":"a","since":null}']) {
      expect(readMarker(stored(Buffer.from(text))), text).to.equal(undefined);
    }
  });
});

describe("what is published", () => {
  const at = (position: number, revision: number, op = "set"): Parameters<Published["add"]>[1] => ({
    subject: op === "reset" ? "kv.event.reset._" : `kv.event.${op}.a`,
    headers: new Map([
      ["kv-position", [String(position)]],
      ["kv-revision", [String(revision)]],
    ]),
  });
  const judgeAll = (published: Published, first: number, last: number): string[] => {
    const revisions = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return revisions.map((revision) => published.judge(0 as Position, revision as Revision));
  };
  let published: Published;
  beforeEach(() => {
    published = new Published();
  });

  it("is what stands there, and everything after is new", () => {
    for (const revision of [5, 6, 7]) published.add(names, at(0, revision));
    expect(judgeAll(published, 5, 9)).to.deep.equal(["there", "there", "there", "new", "new"]);
    expect(published.isEmpty).to.equal(true);
    expect(published.judge(1 as Position, 1 as Revision)).to.equal("new");
  });

  it("has a hole where revisions are missing, at the start, within, or out of order", () => {
    for (const found of [
      [5, 6],
      [4, 6],
      [4, 5, 7],
      [4, 6, 5],
    ]) {
      published = new Published();
      for (const revision of found) published.add(names, at(0, revision));
      expect(judgeAll(published, 4, 4), found.join()).to.deep.equal(["hole"]);
    }
  });

  it("is all up to a reset", () => {
    for (const revision of [5, 7]) published.add(names, at(0, revision));
    published.add(names, at(0, 8, "reset"));
    published.add(names, at(0, 9));
    expect(judgeAll(published, 4, 10)).to.deep.equal([...Array<string>(6).fill("there"), "new"]);
  });

  it("is told by events alone", () => {
    published.add(names, { ...at(0, 5), subject: "kv.relay.s1" });
    published.add(names, { subject: "kv.event.set.a", headers: undefined });
    expect(published.isEmpty).to.equal(true);
  });
});

function entryOf(...wanted: Wanted[]): Entry {
  const entry = decodeEntry(new EntryWriter().operations(wanted.map((each) => [each])));
  if (!isEntry(entry)) throw new Error("no entry");
  return entry;
}

function done(
  verb: Done["verb"],
  position: number,
  revision: number,
  expiresAt = 0,
): OperationOutcome {
  const outcome: Done = {
    verb,
    revision: revision as Revision,
    created: false,
    existed: true,
    number: undefined,
    expiresAt: expiresAt as TimeMs,
    previous: undefined,
  };
  return {
    position: position as Position,
    outcome: { ok: true, done: outcome },
    changed: true,
    result: undefined,
    request: undefined,
  };
}

function row(
  operations: readonly OperationOutcome[],
  expired: OutcomeRow["expired"] = [],
): OutcomeRow {
  return { logTime, chain: 0n, expired, operations };
}
