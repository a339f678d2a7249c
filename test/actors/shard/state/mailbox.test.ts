/**
 * A mailbox that is not emptied: by time, as by count and bytes, it takes nothing more.
 */
import { expect } from "chai";
import { Mailbox } from "../../../../actors/shard/state/mailbox.js";
import { KvError } from "../../../../protocol/errors.js";
import { MAILBOX_BYTES_MAX, MAILBOX_MS_MAX } from "../../../../protocol/limits.js";
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
