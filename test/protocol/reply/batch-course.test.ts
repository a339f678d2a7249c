/**
 * Batch course: what goes again, what an earlier or later operation on its key prevents, and what
 * is told in the end.
 */
import { expect } from "chai";
import fc from "fast-check";
import { InvariantError } from "../../../protocol/assert.js";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import type { Position, Revision, TimeMs } from "../../../protocol/ids.js";
import { BATCH_OPERATIONS_MAX } from "../../../protocol/limits.js";
import { BatchCourse, type CoursePolicy } from "../../../protocol/reply/batch-course.js";
import type { Result } from "../../../protocol/reply/result.js";
import type { RefusedRequest, Request } from "../../../protocol/request/request.js";

const policy: CoursePolicy = {
  asksTheBusy: false,
  asksForLess: false,
  tell: (last, doubt, isWrite) => {
    if (doubt === undefined || !isWrite || last.kind === "conflict") return last;
    return new KvError("in-doubt", `first ${doubt.message}, then ${last.message}`);
  },
};
const patient: CoursePolicy = { ...policy, asksTheBusy: true, asksForLess: true };

describe("course of a batch", () => {
  it("sends all that its form does not refuse, and ends with their outcomes", () => {
    const course = new BatchCourse([set("a"), malformed(), get("b")], policy);
    expect(course.open()).to.deep.equal([0, 2]);
    expect(course.toSend([0, 2])).to.deep.equal([set("a"), get("b")]);
    course.take([0, 2], [done, done]);
    expect(course.isDone).to.equal(true);
    expect(told(course)).to.deep.equal(["done", "bad-request", "done"]);
  });

  const sentAgain: [ErrorName, boolean, boolean][] = [
    ["unavailable", true, true],
    ["in-doubt", true, true],
    ["overloaded", false, true],
    ["conflict", false, false],
    ["too-large", false, false],
    ["internal", false, false],
  ];
  for (const [kind, byImpatient, byPatient] of sentAgain) {
    it(`knows whether to send again after ${kind}`, () => {
      for (const [each, again] of [
        [policy, byImpatient],
        [patient, byPatient],
      ] as const) {
        const course = new BatchCourse([set("a")], each);
        course.take([0], [refused(kind)]);
        expect(course.isOpen(0)).to.equal(again);
        expect(course.refusalOf(0)?.kind).to.equal(kind);
      }
    });
  }

  it("asks the busy to resolve a doubt, which only a write leaves", () => {
    const course = new BatchCourse([set("a"), get("b")], policy);
    course.take([0, 1], error("in-doubt"));
    course.take([0, 1], error("overloaded"));
    expect(course.open()).to.deep.equal([0]);
    expect(told(course)).to.deep.equal(["in-doubt", "overloaded"]);
    course.take([0], [refused("conflict")]);
    expect(told(course), "an outcome resolves it").to.deep.equal(["conflict", "overloaded"]);
  });

  describe("on one key", () => {
    it("sends all of what had no answer again", () => {
      const course = new BatchCourse([set("a"), set("a")], policy);
      course.take([0, 1], error("in-doubt"));
      expect(course.open()).to.deep.equal([0, 1]);
    });

    it("sends nothing again that a later one has overtaken", () => {
      const course = new BatchCourse([set("a"), set("a"), set("a"), set("b")], patient);
      const no = refused("unavailable");
      course.take([0, 1, 2, 3], [no, done, no, no]);
      // The third could be done, but not if the first is to be sent again by the caller.
      expect(course.open()).to.deep.equal([3]);
      expect(told(course)).to.deep.equal(["unavailable", "done", "unavailable", "unavailable"]);
    });

    it("sends nothing behind one that is given up and may be sent again", () => {
      const course = new BatchCourse([set("a"), set("a"), set("a"), set("b")], policy);
      course.take([0, 1], [refused("overloaded"), refused("unavailable")]);
      expect(course.open(), "the third was never sent").to.deep.equal([3]);
      expect(told(course)[2]).to.equal("unavailable");
    });

    it("sends what is behind one that is refused for good", () => {
      const course = new BatchCourse([set("a"), set("a")], policy);
      course.take([0, 1], [refused("conflict"), refused("unavailable")]);
      expect(course.open()).to.deep.equal([1]);
    });

    it("sends nothing behind one without an answer for which there is no time left", () => {
      const course = new BatchCourse([set("a"), set("a"), get("a"), set("b")], patient);
      course.take([0], error("in-doubt"));
      course.giveUp(0);
      expect(course.open()).to.deep.equal([3]);
      expect(told(course).slice(0, 3)).to.deep.equal(["in-doubt", "unavailable", "unavailable"]);
    });

    it("keeps gets and writes in order, but not two gets", () => {
      const no = refused("unavailable");
      const open = (requests: Request[], ...results: Result[]): number[] => {
        const course = new BatchCourse(requests, policy);
        course.take([...requests.keys()], results);
        return course.open();
      };
      expect(open([get("a"), get("a")], no, done)).to.deep.equal([0]);
      expect(open([get("a"), set("a")], no, done)).to.deep.equal([]);
      expect(open([set("a"), get("a")], no, done)).to.deep.equal([]);
      expect(open([get("a"), set("a"), get("a")], no, done, done)).to.deep.equal([]);
      expect(open([get("a"), get("a"), set("b")], no, done, no)).to.deep.equal([0, 2]);
      expect(new BatchCourse([get("a"), get("a")], policy).hasOrder).to.equal(false);
      expect(new BatchCourse([get("a"), set("a")], policy).hasOrder).to.equal(true);
    });
  });

  describe("of gets that do not fit into one reply", () => {
    it("asks for fewer, until a single one does not fit", () => {
      const course = new BatchCourse([get("a"), get("b"), get("c")], patient);
      course.take([0, 1, 2], [done, refused("too-large"), refused("too-large")]);
      expect(course.open()).to.deep.equal([1, 2]);
      expect([1, 2].map((index) => course.countMaxOf(index))).to.deep.equal([1, 1]);
      course.take([1], [refused("too-large")]);
      course.take([2], [done]);
      expect(told(course)).to.deep.equal(["done", "too-large", "done"]);
    });

    it("asks for half when they are refused as a whole", () => {
      const course = new BatchCourse(
        ["a", "b", "c", "d"].map((key) => get(key)),
        patient,
      );
      expect(course.countMaxOf(0)).to.equal(BATCH_OPERATIONS_MAX);
      course.take([0, 1, 2, 3], error("too-large"));
      expect(course.open()).to.deep.equal([0, 1, 2, 3]);
      expect(course.countMaxOf(3)).to.equal(2);
    });

    it("leaves them to a caller that can ask for less itself", () => {
      const course = new BatchCourse([get("a"), get("b")], policy);
      course.take([0, 1], [done, refused("too-large")]);
      expect(told(course)).to.deep.equal(["done", "too-large"]);
    });
  });

  it("names each write once, by its place among those named with it", () => {
    const mine = set("c", "mine");
    const course = new BatchCourse([set("a"), get("b"), mine, set("d")], policy);
    let count = 0;
    const newId = (): string => `id${++count}`;
    course.name([1, 2], newId);
    expect(count, "no id without a need").to.equal(0);
    course.name([0, 1, 2, 3], newId);
    course.name([3], newId);
    const names = course.requests.map((each) => each.kind === "write" && each.operation.request);
    const [first, last] = [0, 3].map((index) => ({ id: "id1", index }));
    expect(names).to.deep.equal([first, false, { id: "mine", index: 0 }, last]);
  });

  it("notices what is sent though it is not open, and outcomes that do not fit", () => {
    const course = new BatchCourse([set("a"), set("b")], policy);
    course.take([0], [done]);
    expect(() => course.toSend([0])).to.throw(InvariantError, "operation 0");
    expect(() => course.take([0], [done])).to.throw(InvariantError, "operation 0");
    expect(() => course.take([1], [])).to.throw(InvariantError, "1 outcomes");
  });

  it("does no write after a later one on its key, whatever is answered", () => {
    const answer = fc.constantFrom<"done" | ErrorName>(
      ...(["done", "done", "unavailable", "in-doubt", "overloaded", "conflict"] as const),
    );
    const chunk = fc.record({ answers: fc.array(answer, { minLength: 8, maxLength: 8 }) });
    const scenario = fc.record({
      keys: fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 8 }),
      rounds: fc.array(chunk, { maxLength: 6 }),
      isPatient: fc.boolean(),
    });
    const property = fc.property(scenario, ({ keys, rounds, isPatient }) => {
      const requests = keys.map((key) => set(key));
      const course = new BatchCourse(requests, isPatient ? patient : policy);
      const order: number[] = [];
      for (const { answers } of rounds) {
        const open = course.open();
        const results = answers.map((each) => (each === "done" ? done : refused(each)));
        course.take(open, results.slice(0, open.length));
        order.push(...open.filter((_, place) => answers[place] === "done"));
      }
      for (const index of course.open()) course.giveUp(index);
      for (const key of new Set(keys)) {
        const ofKey = order.filter((index) => keys[index] === key);
        expect(ofKey).to.deep.equal(ofKey.toSorted((a, b) => a - b));
      }
      expect(course.isDone).to.equal(true);
      expect(course.results().filter(({ kind }) => kind !== "refused")).to.have.length(
        order.length,
      );
    });
    fc.assert(property, { numRuns: 300 });
  });
});

const done: Result = {
  kind: "written",
  key: "any",
  position: 0 as Position,
  done: {
    verb: "set",
    revision: 1 as Revision,
    created: true,
    existed: false,
    number: undefined,
    expiresAt: 0 as TimeMs,
    previous: undefined,
  },
};

function set(key: string, id?: string): Request {
  const operation = {
    verb: "set",
    key,
    position: 0 as Position,
    value: new Uint8Array(1),
    contentType: "application/json",
    ttl: "never",
    ifRevision: undefined,
    returnPrevious: false,
    request: id === undefined ? undefined : { id, index: 0 },
  } as const;
  return { kind: "write", operation, hops: 0 };
}

function get(key: string): Request {
  const options = { level: "stale", minRevision: undefined, accept: undefined, hops: 0 } as const;
  return { kind: "get", key, position: 0 as Position, ...options };
}

function malformed(): RefusedRequest {
  return { kind: "refused", error: error("bad-request") };
}

function error(kind: ErrorName): KvError {
  return new KvError(kind, `it is ${kind}`);
}

function refused(kind: ErrorName): Result {
  return { kind: "refused", error: error(kind) };
}

function told(course: BatchCourse): string[] {
  return course.results().map((result) => {
    return result.kind === "refused" ? result.error.kind : "done";
  });
}
