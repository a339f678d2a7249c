/**
 * The in-memory log: as every log, and its faults.
 */
import { expect } from "chai";
import { systemClock } from "../../infra/clock.js";
import type { Delivery, LogConsumer } from "../../infra/log.js";
import type { Sequence } from "../../protocol/ids.js";
import { logContract } from "../contract/log-contract.js";
import { ManualClock } from "./manual-clock.js";
import { MemoryStream, type MemoryLog } from "./memory-log.js";

describe("memory log", () => {
  logContract((bytesMax) => {
    const stream = new MemoryStream({ clock: systemClock, ...(bytesMax ? { bytesMax } : {}) });
    const logs: MemoryLog[] = [];
    return Promise.resolve({
      open: () => {
        const log = stream.open();
        logs.push(log);
        return Promise.resolve(log);
      },
      crash: () => {
        for (const log of logs) log.interrupt();
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    });
  });

  let clock: ManualClock;
  let stream: MemoryStream;
  let log: MemoryLog;
  beforeEach(() => {
    clock = new ManualClock();
    stream = new MemoryStream({ clock });
    log = stream.open();
  });

  it("loses an acknowledgement, of an entry that landed or of one that did not", async () => {
    log.loseNextAck("landed");
    log.loseNextAck("vanished");
    expect((await clock.resolve(log.append(byte(1), 500))).kind).to.equal("unanswered");
    expect((await clock.resolve(log.append(byte(2), 500))).kind).to.equal("unanswered");
    expect(await clock.resolve(log.append(byte(3), 500))).to.include({ sequence: 2 });
    expect(stream.entries.map(({ data }) => data[0])).to.deep.equal([1, 3]);
    expect(clock.elapsedMs()).to.equal(1_000);
  });

  it("notices a lost last delivery only when another entry follows", async () => {
    const consumer = log.consume(0 as Sequence);
    expect(await clock.resolve(consumer.next())).to.deep.equal({ kind: "resumed" });
    log.dropNextDelivery();
    const next = consumer.next();
    stream.take(byte(1));
    await clock.runUntilIdle();
    stream.take(byte(2));
    expect(await clock.resolve(next)).to.deep.equal({ kind: "resumed" });
    expect(values(await clock.resolve(consumer.next()))).to.deep.equal([1, 2]);
  });

  it("comes back shorter, and hands over later entries without a visible gap", async () => {
    for (const value of [1, 2, 3]) stream.take(byte(value));
    const consumer = log.consume(0 as Sequence);
    await drain(consumer, 3);
    stream.replace(1, [byte(12), byte(13), byte(14)]);
    expect(await clock.resolve(consumer.next())).to.deep.equal({ kind: "resumed" });
    expect(values(await clock.resolve(consumer.next()))).to.deep.equal([14]);
    expect((await clock.resolve(log.read(2 as Sequence)))?.data).to.deep.equal(byte(12));
  });

  it("starts later than asked where earlier entries were trimmed", async () => {
    for (const value of [1, 2, 3]) stream.take(byte(value));
    stream.trim(3);
    expect(await clock.resolve(log.state())).to.include({ first: 3, last: 3 });
    expect(values(await drain(log.consume(0 as Sequence), 1))).to.deep.equal([3]);
  });

  it("refuses appends and answers nothing while it is disconnected", async () => {
    log.disconnect();
    expect((await clock.resolve(log.append(byte(1), 100))).kind).to.equal("refused");
    const state = await clock.resolve(log.state().catch((error: unknown) => error));
    expect(state).to.have.property("kind", "unavailable");
    log.reconnect();
    expect((await clock.resolve(log.append(byte(1), 100))).kind).to.equal("accepted");
  });

  async function drain(consumer: LogConsumer, count: number): Promise<Delivery | undefined> {
    for (let seen = 0; ;) {
      const delivery = await clock.resolve(consumer.next());
      if (delivery?.kind === "messages") seen += delivery.messages.length;
      if (seen >= count) return delivery;
    }
  }
});

function byte(value: number): Uint8Array {
  return Uint8Array.of(value);
}

function values(delivery: Delivery | undefined): (number | undefined)[] {
  return delivery?.kind === "messages" ? delivery.messages.map(({ data }) => data[0]) : [];
}
