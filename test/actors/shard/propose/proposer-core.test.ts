/**
 * Proposer core against a log that answers as it likes: whatever is accepted, lost, refused, late
 * or doubled, every caller is told once, and told the truth.
 */
import { expect } from "chai";
import fc from "fast-check";
import { ProposerCore, type Basis } from "../../../../actors/shard/propose/proposer-core.js";
import { Origins } from "../../../../actors/shard/state/origins.js";
import type { Appended } from "../../../../infra/log.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Origin, Revision, Sequence, TimeMs } from "../../../../protocol/ids.js";
import {
  ENTRY_BYTES_MAX,
  ENTRY_OPERATIONS_MAX,
  MAILBOX_BYTES_MAX,
  MAILBOX_MS_MAX,
  MAILBOX_REQUESTS_MAX,
} from "../../../../protocol/limits.js";
import { decodeEntry, isEntry, type Entry } from "../../../../protocol/log/entry.js";
import type { Done, Operation, Outcome } from "../../../../protocol/operation.js";
import { set } from "../../../support/log-writer.js";
import { EntryWriter } from "../../../support/relay-shard.js";

const basis: Basis = { sequence: 0 as Sequence, chain: 0n };
const unanswered: Appended = { kind: "unanswered", reason: "lost" };
const refused: Appended = { kind: "refused", reason: "no" };
const full: Appended = { kind: "full", reason: "bytes" };

type Step =
  | { readonly kind: "offer"; readonly size: number }
  | { readonly kind: "barrier" | "take" | "deliver" | "land" | "forget" | "expire" }
  /** The log loses what was not delivered yet; others write in its place, or it proves its end. */
  | { readonly kind: "lose"; readonly by: "others" | "proof" }
  | { readonly kind: "answer"; readonly fate: Fate };

/** `overwritten`: accepted, lost, and another's entry met in its place before that is known. */
type Fate = "accepted" | "overwritten" | "landed" | "limbo" | "refused" | "full";

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("offer" as const), size: fc.nat(2) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      fate: fc.constantFrom<Fate>("accepted", "overwritten", "landed", "limbo", "refused", "full"),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constantFrom("take" as const, "deliver", "deliver") }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("barrier" as const, "land", "land", "expire") }),
  },
  fc.record({ kind: fc.constant("forget" as const) }),
  fc.record({
    kind: fc.constant("lose" as const),
    by: fc.constantFrom("others" as const, "proof" as const),
  }),
);

/** A log, an applier and a proposer's shell around the core. */
class Harness {
  readonly core: ProposerCore;
  /** What each group's caller was told; each must be told once. */
  readonly told: (readonly Outcome[] | KvError)[][] = [];
  readonly groups: Operation[][] = [];
  readonly barriersTold: string[][] = [];
  /** Places of operations that an accepted entry held. */
  readonly applied: number[] = [];
  readonly #log: Uint8Array[] = [];
  /** Attempts without an answer, that may land or not. */
  readonly #limbo: Uint8Array[] = [];
  #origins = new Origins();
  #originCount = 1;
  readonly #others = new EntryWriter(originOf(999));
  #attempt: Uint8Array | undefined;
  #delivered = 0;
  #elapsedMs = 0;
  #operationCount = 0;

  constructor() {
    this.core = new ProposerCore(originOf(1));
  }

  get isQuiet(): boolean {
    return this.core.isIdle && !this.core.hasWork && this.#delivered === this.#log.length;
  }

  run(step: Step): void {
    switch (step.kind) {
      case "offer":
        return this.#offer(step.size + 1);
      case "barrier": {
        const told: string[] = [];
        this.barriersTold.push(told);
        const deadlineMs = this.#elapsedMs + 20;
        const resolve = (): void => void told.push("resolved");
        return this.core.wantBarrier({
          deadlineMs,
          resolve,
          reject: (e) => void told.push(e.kind),
        });
      }
      case "take":
        return this.#take();
      case "answer":
        return this.#answer(step.fate);
      case "land": {
        const bytes = this.#limbo.shift();
        if (bytes !== undefined) this.#log.push(bytes);
        return;
      }
      case "deliver":
        return this.#deliver();
      case "lose":
        return this.#lose(step.by);
      case "forget":
        // As after a day of log time in silence. Not while something of it may be accepted yet.
        if (this.core.isIdle && this.isQuiet) this.#origins = new Origins();
        return;
      case "expire":
        this.#elapsedMs += 15;
        return this.core.expire(this.#elapsedMs);
    }
  }

  #offer(size: number): void {
    const group = Array.from({ length: size }, () => set(`k${(this.#operationCount += 1)}`, 1));
    const told: (readonly Outcome[] | KvError)[] = [];
    this.groups.push(group);
    this.told.push(told);
    const settle = (outcomes: readonly Outcome[] | KvError): void => void told.push(outcomes);
    this.core.offer({ group, deadlineMs: this.#elapsedMs + 20, settle });
  }

  #take(): void {
    if (this.#attempt !== undefined) return;
    if (this.core.isIdle && this.core.needsOrigin) {
      this.#originCount += 1;
      this.core.reopen(originOf(this.#originCount));
    }
    this.#attempt = this.core.take(basis);
  }

  #answer(fate: Fate): void {
    const bytes = this.#attempt;
    if (bytes === undefined) return;
    if (fate === "accepted" || fate === "landed") this.#log.push(bytes);
    if (fate === "limbo") this.#limbo.push(bytes);
    if (fate === "overwritten") this.#log.push(this.#others.barrier());
    const accepted: Appended = { kind: "accepted", sequence: this.#log.length as Sequence };
    while (fate === "overwritten" && this.#delivered < this.#log.length) this.#deliver();
    const landed = unanswered;
    const answers = { accepted, overwritten: accepted, landed, limbo: landed, refused, full };
    this.#attempt = this.core.isIdle ? undefined : this.core.appended(answers[fate], basis);
  }

  #lose(by: "others" | "proof"): void {
    const last = this.#log.length;
    const lost = this.#log.splice(this.#delivered);
    if (by === "others") this.#log.push(...lost.map(() => this.#others.barrier()));
    else this.core.lost(this.#delivered + 1, last);
    if (this.core.isIdle) this.#attempt = undefined;
  }

  #deliver(): void {
    const bytes = this.#log[this.#delivered];
    if (bytes === undefined) return;
    this.#delivered += 1;
    const entry = decodeEntry(bytes);
    if (!isEntry(entry)) throw new Error("the proposer writes entries only");
    const { kind, origin, number } = entry;
    if (this.#origins.accept(kind, origin, number, 1 as TimeMs)) {
      this.core.applied(origin, number, this.#outcomesOf(entry));
    } else this.core.skipped(origin, number);
    this.core.met(this.#delivered as Sequence);
    // As the shell: there is nothing left to append.
    if (this.core.isIdle) this.#attempt = undefined;
  }

  #outcomesOf(entry: Entry): Outcome[] {
    const operations = entry.kind === "operations" ? entry.groups.flat() : [];
    return operations.map(({ key }) => {
      const place = Number(key.slice(1));
      this.applied.push(place);
      return { ok: true, done: { revision: place as Revision } as Done };
    });
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    for (let round = 0; round < 200 && !this.isQuiet; round += 1) {
      this.#take();
      this.#answer("accepted");
      this.run({ kind: "land" });
      this.#deliver();
    }
    while (this.#limbo.length > 0) this.run({ kind: "land" });
    for (let round = 0; round < 200; round += 1) this.#deliver();
  }
}

describe("proposer core", () => {
  it("settles every caller once and truthfully, whatever becomes of the entries", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
        const harness = new Harness();
        for (const step of steps) harness.run(step);
        harness.heal();
        expect(harness.isQuiet, "it comes to rest").to.equal(true);
        for (const [index, told] of harness.told.entries()) expectTruth(harness, index, told);
        for (const told of harness.barriersTold) expect(told).to.have.length(1);
        expect(new Set(harness.applied).size, "each is applied once").to.equal(
          harness.applied.length,
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it("settles all that waits when it is closed, telling what may have been written", () => {
    const harness = new Harness();
    open(harness);
    for (const size of [1, 2]) harness.run({ kind: "offer", size });
    harness.run({ kind: "take" });
    harness.run({ kind: "offer", size: 1 });
    harness.run({ kind: "barrier" });
    harness.core.close(new KvError("unavailable", "it ends"));
    expect(harness.told.map(([one]) => (one as KvError).kind)).to.deep.equal([
      "in-doubt",
      "in-doubt",
      "unavailable",
    ]);
    expect(harness.barriersTold).to.deep.equal([["unavailable"]]);
  });

  it("tells the whole queue at once when a full log takes no `open`", () => {
    const harness = new Harness();
    harness.run({ kind: "offer", size: 0 });
    harness.run({ kind: "take" });
    harness.run({ kind: "answer", fate: "full" });
    const told = harness.told[0]?.[0] as KvError;
    expect(told).to.include({ kind: "overloaded", retryable: false, written: "no" });
    expect(told.details).to.deep.equal({ limit: "log_bytes" });
    expect(told.message).to.match(
      /^the log of this shard is full \(.*\): nothing was written; make/,
    );
    expect(harness.core.hasWork).to.equal(false);
  });

  it("comes to rest when an `open` of unknown fate was refused and never landed", () => {
    const harness = new Harness();
    harness.run({ kind: "offer", size: 0 });
    harness.run({ kind: "take" });
    harness.run({ kind: "answer", fate: "limbo" });
    harness.run({ kind: "answer", fate: "refused" });
    harness.run({ kind: "answer", fate: "accepted" });
    harness.run({ kind: "deliver" });
    expect(harness.core.isIdle).to.equal(true);
    harness.heal();
    expect(harness.told[0]?.[0]).to.be.an("array");
  });

  it("gives up what the log has accepted and lost, and goes on as somebody new", () => {
    for (const by of ["others", "proof"] as const) {
      const harness = new Harness();
      open(harness);
      harness.run({ kind: "offer", size: 1 });
      harness.run({ kind: "take" });
      harness.run({ kind: "answer", fate: "accepted" });
      harness.run({ kind: "barrier" });
      harness.run({ kind: "lose", by });
      harness.run({ kind: "deliver" });
      expect(harness.told[0]?.[0], by).to.have.property("kind", "in-doubt");
      expect(harness.core.needsOrigin, by).to.equal(true);
      harness.heal();
      expect(harness.barriersTold, by).to.deep.equal([["resolved"]]);
    }
  });

  it("waits for what was accepted beyond what the log has lost", () => {
    const core = opened();
    offer(core, [set("k", 1)]);
    core.take(basis);
    core.appended({ kind: "accepted", sequence: 7 as Sequence }, basis);
    core.lost(3, 6);
    core.met(6 as Sequence);
    expect(core.isIdle).to.equal(false);
    core.met(7 as Sequence);
    expect(core.isIdle).to.equal(true);
  });

  it("takes one entry at a time, of bounded size and number", () => {
    const core = new ProposerCore(originOf(1));
    const sizes: number[] = [];
    core.take(basis);
    for (let number = 0; number < 5_000; number += 1) offer(core, [set(`k${number}`, number)]);
    core.wantBarrier({ deadlineMs: 1, resolve: () => undefined, reject: () => undefined });
    const first = core.take(basis) as Uint8Array;
    expect(kindOf(first)).to.equal("open");
    expect(core.take(basis)).to.equal(undefined);
    core.applied(originOf(1), 1, []);
    for (let number = 2; core.hasWork; number += 1) {
      const entry = decodeEntry(core.take(basis) as Uint8Array) as Entry & { kind: "operations" };
      sizes.push(entry.groups.length);
      core.applied(originOf(1), number, entry.groups.flat().map(done));
    }
    expect(sizes).to.deep.equal([ENTRY_OPERATIONS_MAX, 5_000 - ENTRY_OPERATIONS_MAX]);
  });

  it("keeps entries below the limit of bytes, with groups of any size", () => {
    const core = opened();
    const large = Buffer.alloc(256 * 1_024, 0x31);
    const value = (): Operation => ({ ...set("k", 1), value: large }) as Operation;
    for (const length of [1, 1, 2, 1, 2, 2, 1]) offer(core, Array.from({ length }, value));
    for (let number = 2; core.hasWork; number += 1) {
      const bytes = core.take(basis) as Uint8Array;
      expect(bytes.length).to.be.at.most(ENTRY_BYTES_MAX);
      const entry = decodeEntry(bytes) as Entry & { kind: "operations" };
      core.applied(originOf(1), number, entry.groups.flat().map(done));
    }
  });

  it("is overloaded beyond its mailbox, in requests or bytes", () => {
    const core = opened();
    for (let number = 0; number < MAILBOX_REQUESTS_MAX; number += 1) offer(core, [set("k", 1)]);
    expect(() => offer(core, [set("k", 1)])).to.throw(KvError, "mailbox_requests");
    const other = opened();
    const value = Buffer.alloc(256 * 1_024);
    const large = { ...set("k", 1), value } as Operation;
    const offers = (): void => {
      for (let bytes = 0; bytes < 2 * MAILBOX_BYTES_MAX; bytes += value.length) {
        offer(other, [large]);
      }
    };
    expect(offers).to.throw(KvError, "mailbox_bytes");
  });

  it("is overloaded while what waits longest has waited for MAILBOX_MS_MAX", () => {
    const core = opened();
    const offerAt = (ms: number): void => {
      core.offer({ group: [set("k", 1)], deadlineMs: 1_000 + ms, settle: () => undefined });
    };
    offerAt(0);
    offerAt(MAILBOX_MS_MAX);
    expect(() => offerAt(MAILBOX_MS_MAX + 1)).to.throw(KvError, "mailbox_ms");
    expect(core.queueLength).to.equal(2);
    // What is in flight waits no more.
    core.take(basis);
    offerAt(MAILBOX_MS_MAX + 1);
    expect(core.queueLength).to.equal(1);
  });
});

function expectTruth(
  harness: Harness,
  index: number,
  told: readonly (readonly Outcome[] | KvError)[],
): void {
  expect(told, `group ${index} is told once`).to.have.length(1);
  const places = (harness.groups[index] ?? []).map(({ key }) => Number(key.slice(1)));
  const isApplied = places.every((place) => harness.applied.includes(place));
  const [answer] = told;
  if (answer instanceof KvError) {
    if (answer.written === "no") expect(isApplied, `${answer.message}: ${index}`).to.equal(false);
    return;
  }
  expect(isApplied, `group ${index} was told that it is done`).to.equal(true);
  const revisions = answer?.map((outcome) => outcome.ok && outcome.done.revision);
  expect(revisions, "its own outcomes").to.deep.equal(places);
}

function originOf(number: number): Origin {
  return number.toString(16).padStart(32, "0") as Origin;
}

function kindOf(bytes: Uint8Array): string {
  return decodeEntry(bytes).kind;
}

function done(): Outcome {
  return { ok: true, done: { revision: 1 as Revision } as Done };
}

function open(harness: Harness): void {
  harness.run({ kind: "barrier" });
  harness.heal();
  harness.barriersTold.length = 0;
}

function opened(): ProposerCore {
  const core = new ProposerCore(originOf(1));
  core.wantBarrier({ deadlineMs: 1, resolve: () => undefined, reject: () => undefined });
  core.take(basis);
  core.applied(originOf(1), 1, []);
  core.expire(2);
  return core;
}

function offer(core: ProposerCore, group: Operation[]): void {
  core.offer({ group, deadlineMs: 1_000, settle: () => undefined });
}
