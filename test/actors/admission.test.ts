/**
 * Admission: by count, bytes and time; each refusal names its limit; the log gets a line a second.
 */
import { expect } from "chai";
import {
  Admission,
  REFUSALS_TOLD_MS,
  RefusalLog,
  barrierRules,
  batchRules,
  coordinatorRules,
  mailboxRules,
  tooManyRequests,
  type AdmissionRules,
} from "../../actors/admission.js";
import { InvariantError } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import * as limits from "../../protocol/limits.js";
import { ManualClock } from "../support/manual-clock.js";
import { NotedLogger } from "../support/noted-logger.js";

function refusalOf(enter: () => void): KvError {
  try {
    enter();
  } catch (error) {
    if (error instanceof KvError) return error;
    throw error;
  }
  throw new Error("it was admitted");
}

describe("admission", () => {
  it("takes as many requests as its rule says, and more when some have left", () => {
    const cases: [AdmissionRules, string, number][] = [
      [mailboxRules, "mailbox_requests", limits.MAILBOX_REQUESTS_MAX],
      [barrierRules, "mailbox_requests", limits.MAILBOX_REQUESTS_MAX],
      [coordinatorRules, "coordinator_requests", limits.COORDINATOR_REQUESTS_MAX],
    ];
    for (const [rules, limit, max] of cases) {
      const admission = new Admission(rules);
      for (let count = 0; count < max; count += 1) admission.enter(0);
      const error = refusalOf(() => admission.enter(0));
      expect(error).to.deep.include({ kind: "overloaded", details: { limit, max } });
      expect(error.message).to.contain(limit).and.contain(String(max));
      expect(admission.count).to.equal(max);
      admission.leave(0);
      admission.enter(0);
    }
  });

  it("takes as many bytes as its rule says; the refusal says how many came", () => {
    const cases: [AdmissionRules, string, number][] = [
      [mailboxRules, "mailbox_bytes", limits.MAILBOX_BYTES_MAX],
      [batchRules, "mailbox_bytes", limits.MAILBOX_BYTES_MAX],
      [coordinatorRules, "coordinator_bytes", limits.COORDINATOR_BYTES_MAX],
    ];
    for (const [rules, limit, max] of cases) {
      const admission = new Admission(rules);
      admission.enter(max - 1);
      const error = refusalOf(() => admission.enter(2));
      expect(error.details).to.deep.equal({ limit, max, received: 2 });
      // A refused request holds nothing.
      expect([admission.count, admission.bytes]).to.deep.equal([1, max - 1]);
      admission.enter(1);
      admission.leaveAll();
      admission.enter(max);
    }
  });

  it("takes nothing while the oldest waits for too long", () => {
    const admission = new Admission(mailboxRules);
    const max = limits.MAILBOX_MS_MAX;
    admission.enter(1, max);
    const error = refusalOf(() => admission.enter(1, max + 1));
    expect(error.details).to.deep.equal({ limit: "mailbox_ms", max });
    new Admission(coordinatorRules).enter(1, max + 1);
  });

  it("throws one object for all requests beyond a coordinator's number", () => {
    const admission = new Admission(coordinatorRules);
    for (let n = 0; n < limits.COORDINATOR_REQUESTS_MAX; n += 1) admission.enter(0);
    expect(refusalOf(() => admission.enter(0))).to.equal(tooManyRequests);
  });

  it("calls back with each refusal", () => {
    const told: KvError[] = [];
    const admission = new Admission(batchRules, (refusal) => told.push(refusal));
    admission.enter(limits.MAILBOX_BYTES_MAX);
    const errors = [1, 2].map((bytes) => refusalOf(() => admission.enter(bytes)));
    expect(told).to.deep.equal(errors);
  });

  it("lets nothing leave that has not entered", () => {
    const admission = new Admission(mailboxRules);
    expect(() => admission.leave(0)).to.throw(InvariantError);
    const other = new Admission(mailboxRules);
    other.enter(1);
    expect(() => other.leave(2)).to.throw(InvariantError);
  });
});

describe("refusal log", () => {
  let clock: ManualClock;
  let logger: NotedLogger;
  let refusals: RefusalLog;
  beforeEach(() => {
    clock = new ManualClock();
    logger = new NotedLogger();
    refusals = new RefusalLog(clock, logger, { shard: "s1", requests: "writes" });
  });

  it("tells the first refusal at once: the limit, its value, and whose requests", () => {
    refusals.note(tooManyRequests);
    const limit = "coordinator_requests";
    const max = limits.COORDINATOR_REQUESTS_MAX;
    expect(logger.lines).to.deep.equal([
      {
        level: "info",
        message: "refusing requests: coordinator_requests reached",
        fields: { shard: "s1", requests: "writes", limit, max, refused: 1 },
      },
    ]);
  });

  it("tells the others once a second, each in one line, and then falls silent", async () => {
    const counts = (): unknown[] => logger.lines.map(({ fields }) => fields?.["refused"]);
    for (let count = 0; count < 5; count += 1) refusals.note(tooManyRequests);
    await clock.advance(REFUSALS_TOLD_MS - 1);
    refusals.note(tooManyRequests);
    expect(counts()).to.deep.equal([1]);
    await clock.advance(1);
    expect(counts()).to.deep.equal([1, 5]);
    refusals.note(tooManyRequests);
    await clock.advance(REFUSALS_TOLD_MS);
    expect(counts()).to.deep.equal([1, 5, 1]);
    await clock.advance(10 * REFUSALS_TOLD_MS);
    expect(counts()).to.deep.equal([1, 5, 1]);
    refusals.note(tooManyRequests);
    expect(counts()).to.deep.equal([1, 5, 1, 1]);
  });
});
