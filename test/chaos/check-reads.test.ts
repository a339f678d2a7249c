/**
 * Gets and queries compared with what was possible while they ran: right answers, and each kind of
 * wrong one.
 */
import { expect } from "chai";
import type { FoundItem, HistoryRow, QueryStep, Step } from "../history/history.js";
import { checkReads } from "./check-reads.js";
import { matchVersions } from "./versions.js";

/** a: {g:1} from 10, {g:2} from 30. b: {g:1} from 10, gone from 50. Each write takes 1. */
const written: readonly HistoryRow[] = [
  write(10, "a", '{"g":1}', 1),
  write(10, "b", '{"g":1}', 2),
  write(30, "a", '{"g":2}', 3),
  write(50, "b", undefined, 4),
];
const { versions } = matchVersions(
  [
    { op: "set", key: "a", position: 1, revision: 1, value: '{"g":1}' },
    { op: "set", key: "b", position: 1, revision: 2, value: '{"g":1}' },
    { op: "set", key: "a", position: 1, revision: 3, value: '{"g":2}' },
    { op: "del", key: "b", position: 1, revision: 4, value: undefined },
  ],
  written,
);

describe("checked gets", () => {
  it("may have seen what was there at some time while they ran", () => {
    expect(get(20, 21, '{"g":1}', 1)).to.equal(0);
    expect(get(20, 30.5, '{"g":2}', 3)).to.equal(0);
    expect(get(5, 11, undefined)).to.equal(0);
  });

  it("are wrong when they saw what was replaced before, or what was not written yet", () => {
    expect(get(32, 33, '{"g":1}', 1)).to.equal(1);
    expect(get(20, 21, '{"g":2}', 3)).to.equal(1);
    expect(get(20, 21, undefined)).to.equal(1);
    expect(get(20, 21, '{"g":1}', 2)).to.equal(1);
    expect(get(20, 21, '{"g":7}', 1)).to.equal(1);
  });

  it("may be behind where they are stale, but not invented", () => {
    expect(get(60, 61, '{"g":1}', 1, { level: "stale" })).to.equal(0);
    expect(get(60, 61, undefined, 0, { level: "stale" })).to.equal(0);
    expect(get(60, 61, '{"g":7}', 1, { level: "stale" })).to.equal(1);
    expect(get(20, 21, '{"g":2}', 3, { level: "stale" })).to.equal(1);
  });

  it("are not behind what their session has seen", () => {
    expect(get(60, 61, '{"g":1}', 1, { level: "session", minRevision: 2 })).to.equal(0);
    expect(get(60, 61, '{"g":1}', 1, { level: "session", minRevision: 3 })).to.equal(1);
    expect(get(20, 21, undefined, 0, { level: "session", minRevision: 1 })).to.equal(0);
    expect(get(20, 21, undefined, 0, { level: "session", minRevision: 2 })).to.equal(1);
    expect(get(60, 61, undefined, 0, { level: "session", minRevision: 2 })).to.equal(0);
  });
});

describe("checked queries", () => {
  const a1 = { key: "a", value: '{"g":1}', revision: 1 };
  const a2 = { key: "a", value: '{"g":2}', revision: 3 };
  const b1 = { key: "b", value: '{"g":1}', revision: 2 };

  it("have what matched all the time, and only what matched at some time", () => {
    expect(find(20, 21, [a1, b1])).to.equal(0);
    expect(find(20, 21, [a1])).to.equal(1);
    expect(find(20, 21, [a1, a1, b1])).to.equal(1);
    expect(find(29, 31, [a1, b1])).to.equal(0);
    expect(find(29, 31, [b1])).to.equal(0);
    expect(find(40, 41, [a1, b1])).to.equal(1);
    expect(find(40, 41, [a2, b1])).to.equal(1);
    expect(find(60, 61, [b1])).to.equal(1);
    expect(find(60, 61, [])).to.equal(0);
  });

  it("may be behind where they are stale", () => {
    expect(find(60, 61, [b1], "stale")).to.equal(0);
    expect(find(60, 61, [a2], "stale")).to.equal(1);
  });

  it("are one query where one page continues another", () => {
    const pages = (items: readonly FoundItem[], others: readonly FoundItem[]): number => {
      const one = row(20, 21, "find", { items, complete: true, more: true });
      const other = row(22, 23, "find", { items: others, complete: true, more: false });
      const continuing = { ...other, number: 2, query: { ...queryOf(other), continues: "q/1" } };
      return problemsOf([one, continuing]);
    };
    expect(pages([a1], [b1])).to.equal(0);
    expect(pages([a1], [a1, b1])).to.equal(1);
    expect(pages([], [b1])).to.equal(1);
  });

  it("count between what matched all the time and what matched at some time", () => {
    const count = (from: number, to: number, counted: number): number =>
      problemsOf([row(from, to, "count", { count: counted, complete: true, more: false })]);
    expect(count(20, 21, 2)).to.equal(0);
    expect(count(20, 21, 1)).to.equal(1);
    expect(count(20, 21, 3)).to.equal(1);
    expect(count(29, 31, 1)).to.equal(0);
    expect(count(60, 61, 0)).to.equal(0);
  });

  it("list the keys that are there", () => {
    const keys = (from: number, to: number, listed: readonly string[]): number => {
      const made = row(from, to, "keys", { keys: listed, complete: true, more: false });
      const { where: _where, ...query } = queryOf(made);
      return problemsOf([{ ...made, query: { ...query, prefix: "" } }]);
    };
    expect(keys(20, 21, ["a", "b"])).to.equal(0);
    expect(keys(20, 21, ["a"])).to.equal(1);
    expect(keys(60, 61, ["a", "b"])).to.equal(1);
    expect(keys(60, 61, ["a"])).to.equal(0);
  });
});

function problemsOf(rows: readonly HistoryRow[]): number {
  return checkReads([...written, ...rows], versions).problems.length;
}

/** Of `a`, or of `b` where nothing was found and it is no linearizable read. */
function get(
  invokedAt: number,
  returnedAt: number,
  value: string | undefined,
  revision = 0,
  more: Partial<Step> = {},
): number {
  const key = value === undefined && more.level !== undefined ? "b" : "a";
  const found = { kind: "value", value: value ?? "", revision } as const;
  const outcome = value === undefined ? ({ kind: "absent" } as const) : found;
  const steps: Step[] = [{ verb: "get", key, ...more, outcome }];
  return problemsOf([{ client: "r", number: 1, kind: "single", steps, invokedAt, returnedAt }]);
}

function find(
  from: number,
  to: number,
  items: readonly FoundItem[],
  level: QueryStep["level"] = "linearizable",
): number {
  return problemsOf([row(from, to, "find", { items, complete: true, more: false }, level)]);
}

type Answered = Omit<Extract<QueryStep["outcome"], { kind: "answered" }>, "kind">;

/** Everything with g: 1. */
function row(
  invokedAt: number,
  returnedAt: number,
  kind: HistoryRow["kind"],
  outcome: Answered,
  level: QueryStep["level"] = "linearizable",
): HistoryRow {
  const query: QueryStep = {
    where: { g: 1 },
    level,
    partial: false,
    outcome: { kind: "answered", ...outcome },
  };
  return { client: "q", number: 1, kind, steps: [], query, invokedAt, returnedAt };
}

function queryOf({ query }: HistoryRow): QueryStep {
  return query as QueryStep;
}

function write(
  invokedAt: number,
  key: string,
  value: string | undefined,
  revision: number,
): HistoryRow {
  const outcome = { kind: "written", revision } as const;
  const step: Step =
    value === undefined ? { verb: "del", key, outcome } : { verb: "set", key, value, outcome };
  const times = { invokedAt, returnedAt: invokedAt + 1 };
  return { client: "w", number: revision, kind: "single", steps: [step], ...times };
}
