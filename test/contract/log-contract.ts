/**
 * What every Log does, whatever it runs on.
 */
import { expect } from "chai";
import type { Delivery, Log, LogConsumer, LogMessage } from "../../infra/log.js";
import type { Sequence } from "../../protocol/ids.js";
import { ENTRY_BYTES_MAX } from "../../protocol/limits.js";

export interface LogWorld {
  /** A handle as a program has it; all are of one log. */
  open(): Promise<Log>;
  /** The log's server goes without notice and comes back, with its data. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

/** `bytesMax` of the log; undefined = as large as the tests need. */
export function logContract(createWorld: (bytesMax?: number) => Promise<LogWorld>): void {
  let world: LogWorld;
  let log: Log;
  const consumers: LogConsumer[] = [];
  const consume = (from: Log, after: number): LogConsumer => {
    const consumer = from.consume(after as Sequence);
    consumers.push(consumer);
    return consumer;
  };
  const start = async (bytesMax?: number): Promise<void> => {
    world = await createWorld(bytesMax);
    log = await world.open();
  };
  afterEach(async () => {
    for (const consumer of consumers.splice(0)) consumer.stop();
    await world.close();
  });

  it("numbers entries 1, 2, 3, … and keeps their bytes and times", async () => {
    await start();
    expect(await log.state()).to.include({ first: 1, last: 0 });
    const beforeMs = Date.now();
    for (const each of ["a", "b", ""]) await append(log, bytes(each));
    const entries = await Promise.all([1, 2, 3].map((sequence) => log.read(sequence as Sequence)));
    expect(entries.map((entry) => entry && text(entry))).to.deep.equal(["a", "b", ""]);
    expect(entries.map((entry) => entry?.sequence)).to.deep.equal([1, 2, 3]);
    for (const entry of entries) expect(entry?.time).to.be.within(beforeMs - 1, Date.now() + 1);
    expect(await log.read(4 as Sequence)).to.equal(undefined);
    expect(await log.state()).to.include({ first: 1, last: 3 });
  });

  it("keeps an entry of the largest size, and refuses a larger one", async () => {
    await start();
    const largest = new Uint8Array(ENTRY_BYTES_MAX).fill(7);
    expect(await log.append(largest, 5_000)).to.deep.equal({ kind: "accepted", sequence: 1 });
    const larger = await log.append(new Uint8Array(ENTRY_BYTES_MAX + 1), 5_000);
    expect(larger.kind).to.equal("refused");
    expect((await log.read(1 as Sequence))?.data).to.deep.equal(largest);
    expect(await log.state()).to.include({ last: 1 });
  });

  it("hands over `resumed` first, then all entries after the given one in order", async () => {
    await start();
    for (let number = 1; number <= 20; number++) await append(log, bytes(String(number)));
    const consumer = consume(log, 5);
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    const received = await take(consumer, 15);
    expect(received.map(text)).to.deep.equal(range(6, 20).map(String));
    expect(received.map(({ sequence }) => sequence)).to.deep.equal(range(6, 20));
    await append(log, bytes("new"));
    expect((await take(consumer, 1)).map(text)).to.deep.equal(["new"]);
  });

  it("tells consumers the same time as a read of the entry", async () => {
    await start();
    await append(log, bytes("x"));
    const consumer = consume(log, 0);
    const [entry] = await take(consumer, 1);
    expect(entry?.time).to.equal((await log.read(1 as Sequence))?.time);
  });

  it("gives each consumer everything, and each appender its own sequence", async () => {
    await start();
    const other = await world.open();
    const [mine, theirs] = [consume(log, 0), consume(other, 0)];
    const appends = range(1, 100).map((number) =>
      append(number % 2 ? log : other, bytes(`${number}`)),
    );
    const sequences = await Promise.all(appends);
    expect(sequences.toSorted((a, b) => a - b)).to.deep.equal(range(1, 100));
    const [first, second] = await Promise.all([take(mine, 100), take(theirs, 100)]);
    expect(first.map(text)).to.deep.equal(second.map(text));
    for (const [index, sequence] of sequences.entries()) {
      expect(first.find((entry) => entry.sequence === sequence && text(entry) === `${index + 1}`))
        .to.exist;
    }
  });

  it("knows an end not behind any acknowledged entry, and writes nothing for it", async () => {
    await start();
    const other = await world.open();
    expect(await log.tail()).to.equal(0);
    let acknowledged = 0;
    const writer = async (): Promise<void> => {
      for (let count = 0; count < 50; count++) {
        const sequence = await append(other, bytes("x"));
        acknowledged = Math.max(acknowledged, sequence);
      }
    };
    const prober = async (): Promise<void> => {
      for (let count = 0; count < 100; count++) {
        const before = acknowledged;
        expect(await log.tail()).to.be.at.least(before);
      }
    };
    for (const last of [1, 2, 3]) {
      await append(other, bytes("x"));
      expect(await log.tail()).to.equal(last);
    }
    await Promise.all([writer(), writer(), prober(), prober()]);
    expect(await log.tail()).to.equal(103);
    expect(await log.state()).to.include({ last: 103 });
  });

  it("is full at its limit: nothing lands any more, and the end is still known", async () => {
    await start(64 * 1_024);
    const data = new Uint8Array(10_000);
    let outcome = await log.append(data, 5_000);
    while (outcome.kind === "accepted") outcome = await log.append(data, 5_000);
    expect(outcome.kind).to.equal("full");
    const { last, bytes: size, bytesMax } = await log.state();
    expect(last).to.equal(6);
    expect(size).to.be.within(60_000, bytesMax);
    expect(bytesMax).to.equal(64 * 1_024);
    expect((await log.append(data, 5_000)).kind).to.equal("full");
    expect(await log.tail()).to.equal(6);
    expect(await log.read(7 as Sequence)).to.equal(undefined);
  });

  it("catches up on more than one pull of large entries, with one `resumed` only", async () => {
    await start();
    const count = 40;
    const data = (number: number): Uint8Array => new Uint8Array(512 * 1_024).fill(number);
    for (let number = 1; number <= count; number++) await append(log, data(number));
    const consumer = consume(log, 0);
    const deliveries: Delivery[] = [];
    const received = await take(consumer, count, deliveries);
    expect(received.map((entry) => entry.sequence)).to.deep.equal(range(1, count));
    for (const [index, entry] of received.entries()) {
      expect(entry.data.length).to.equal(512 * 1_024);
      expect([entry.data[0], entry.data.at(-1)]).to.deep.equal([index + 1, index + 1]);
    }
    expect(deliveries.filter(({ kind }) => kind === "resumed")).to.have.length(1);
    await append(log, bytes("after"));
    expect((await take(consumer, 1)).map(text)).to.deep.equal(["after"]);
  }).timeout(60_000);

  it("waits from a place beyond its end, and hands over nothing from before it", async () => {
    await start();
    await append(log, bytes("1"));
    const consumer = consume(log, 3);
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    const next = consumer.next();
    for (const each of ["2", "3", "4"]) await append(log, bytes(each));
    const delivery = await next;
    expect(delivery?.kind === "messages" && delivery.messages.map(text)).to.deep.equal(["4"]);
  });

  it("ends a waiting reader with undefined when it is stopped", async () => {
    await start();
    const consumer = consume(log, 0);
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    const next = consumer.next();
    consumer.stop();
    expect(await next).to.equal(undefined);
    expect(await consumer.next()).to.equal(undefined);
  });

  it("resumes after a crash, and goes on after the last entry handed over", async () => {
    await start();
    for (const each of ["1", "2"]) await append(log, bytes(each));
    const consumer = consume(log, 0);
    await take(consumer, 2);
    const next = consumer.next();
    await world.crash();
    expect(await next).to.deep.equal({ kind: "resumed" });
    let appended = await log.append(bytes("3"), 5_000);
    while (appended.kind !== "accepted") appended = await log.append(bytes("3"), 5_000);
    expect(appended.sequence).to.equal(3);
    expect((await take(consumer, 1)).map(text)).to.deep.equal(["3"]);
    expect(await log.tail()).to.equal(3);
  }).timeout(60_000);
}

/** The next `count` entries; whatever came goes to `deliveries` too. */
async function take(
  consumer: LogConsumer,
  count: number,
  deliveries: Delivery[] = [],
): Promise<LogMessage[]> {
  const messages: LogMessage[] = [];
  while (messages.length < count) {
    const delivery = await consumer.next();
    if (delivery === undefined) throw new Error("the consumer was stopped");
    deliveries.push(delivery);
    if (delivery.kind === "messages") messages.push(...delivery.messages);
  }
  return messages;
}

async function append(log: Log, data: Uint8Array): Promise<Sequence> {
  const appended = await log.append(data, 5_000);
  if (appended.kind !== "accepted") throw new Error(`${appended.kind}: ${appended.reason}`);
  return appended.sequence;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(entry: LogMessage): string {
  return new TextDecoder().decode(entry.data);
}
