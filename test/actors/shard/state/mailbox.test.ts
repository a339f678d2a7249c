/**
 * Mailbox: what it hands over, and when it takes nothing more: by count, bytes and time.
 */
import { expect } from "chai";
import { Mailbox } from "../../../../actors/shard/state/mailbox.js";
import { KvError } from "../../../../protocol/errors.js";
import {
  MAILBOX_BYTES_MAX,
  MAILBOX_MS_MAX,
  MAILBOX_REQUESTS_MAX,
} from "../../../../protocol/limits.js";
import { ManualClock } from "../../../support/manual-clock.js";

describe("mailbox", () => {
  let clock: ManualClock;
  let mailbox: Mailbox<number>;
  beforeEach(() => {
    clock = new ManualClock();
    mailbox = new Mailbox(clock);
  });

  it("takes nothing more once its oldest item has waited for MAILBOX_MS_MAX", async () => {
    mailbox.offer(1);
    await clock.advance(MAILBOX_MS_MAX);
    mailbox.offer(2);
    await clock.advance(1);
    expect(() => mailbox.offer(3))
      .to.throw(KvError)
      .with.deep.property("details", { limit: "mailbox_ms", max: MAILBOX_MS_MAX });
    expect(mailbox.length).to.equal(2);
  });

  it("takes no more than MAILBOX_BYTES_MAX, and that again once it has been taken", async () => {
    const batches = mailbox.batches();
    for (let round = 0; round < 2; round += 1) {
      mailbox.offer(1, MAILBOX_BYTES_MAX - 1);
      expect(() => mailbox.offer(2, 2))
        .to.throw(KvError)
        .with.deep.property("details", {
          limit: "mailbox_bytes",
          max: MAILBOX_BYTES_MAX,
          received: 2,
        });
      mailbox.offer(3, 1);
      expect((await clock.resolve(batches.next())).value).to.deep.equal([1, 3]);
    }
  });

  it("takes more when what waited has been taken, and after any time of rest", async () => {
    const batches = mailbox.batches();
    for (let round = 0; round < 3; round += 1) {
      mailbox.offer(round);
      await clock.advance(MAILBOX_MS_MAX + 1);
      expect((await batches.next()).value).to.deep.equal([round]);
    }
  });
});

describe("mailbox", () => {
  it("hands over all that has arrived, in order, and the rest back when closed", async () => {
    const clock = new ManualClock();
    const mailbox = new Mailbox<number>(clock);
    const taken: (readonly number[])[] = [];
    const gates: (() => void)[] = [];
    const reading = (async () => {
      for await (const batch of mailbox.batches()) {
        taken.push(batch);
        await new Promise<void>((resolve) => gates.push(resolve));
      }
    })();
    mailbox.offer(1);
    mailbox.offer(2);
    await clock.runUntil(() => taken.length === 1);
    for (const item of [3, 4]) mailbox.offer(item);
    gates.shift()?.();
    await clock.runUntil(() => taken.length === 2);
    mailbox.offer(5);
    expect(mailbox.close()).to.deep.equal([5]);
    gates.shift()?.();
    await clock.resolve(reading);
    expect(taken).to.deep.equal([
      [1, 2],
      [3, 4],
    ]);
    expect(() => mailbox.offer(6)).to.throw(KvError, "closing");
  });

  it("is overloaded beyond its limit", () => {
    const mailbox = new Mailbox<number>(new ManualClock());
    for (let item = 0; item < MAILBOX_REQUESTS_MAX; item += 1) mailbox.offer(item);
    expect(() => mailbox.offer(0)).to.throw(KvError, "wait here already");
  });
});
