/**
 * What every Log does when something goes wrong: the same on JetStream and in memory, or the
 * simulation would prove nothing about the real one.
 */
import { expect } from "chai";
import {
  LOG_ROOM_BYTES,
  type Appended,
  type Log,
  type LogConsumer,
  type LogMessage,
} from "../../infra/log.js";
import type { Sequence } from "../../protocol/ids.js";

export interface FaultyLogWorld {
  /** A handle as a program has it; all are of one log. */
  open(): Promise<Log>;
  /** Appends `data` with its acknowledgement lost; the entry lands. */
  appendUnheard(log: Log, data: Uint8Array): Promise<Appended>;
  /** Entries below `first` go, as when they are held by a snapshot. */
  trim(first: number): Promise<void>;
  /** The next entry that the log's consumers would hand over is lost on its way to them. */
  dropNextDelivery(log: Log): void;
  /** The server forgets all consumers of the log. */
  forgetConsumers(): Promise<void>;
  close(): Promise<void>;
}

export function logFaultsContract(
  createWorld: (bytesMax?: number) => Promise<FaultyLogWorld>,
): void {
  let world: FaultyLogWorld;
  let log: Log;
  const consumers: LogConsumer[] = [];
  const consume = (after: number): LogConsumer => {
    const consumer = log.consume(after as Sequence);
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

  it("has an entry twice that was appended again after its acknowledgement was lost", async () => {
    await start();
    expect((await world.appendUnheard(log, bytes("x"))).kind).to.equal("unanswered");
    expect(await log.append(bytes("x"), 5_000)).to.deep.equal({ kind: "accepted", sequence: 2 });
    const found = await take(consume(0), 2);
    expect(found.map(text)).to.deep.equal(["1 x", "2 x"]);
    expect(await log.tail()).to.equal(2);
  }).timeout(20_000);

  it("begins later once it is trimmed, says so, and counts on", async () => {
    await start();
    for (let number = 1; number <= 6; number += 1) await append(log, `${number}`);
    await world.trim(4);
    expect(await log.state()).to.include({ first: 4, last: 6 });
    expect(await log.read(3 as Sequence)).to.equal(undefined);
    expect(text((await log.read(4 as Sequence)) as LogMessage)).to.equal("4 4");
    // Silently: whoever reads has to compare what it gets with what it has.
    expect((await take(consume(0), 3)).map(text)).to.deep.equal(["4 4", "5 5", "6 6"]);
    expect((await take(consume(5), 1)).map(text)).to.deep.equal(["6 6"]);
    await world.trim(7);
    expect(await log.state()).to.include({ first: 7, last: 6 });
    expect(await log.tail()).to.equal(6);
    expect(await append(log, "7")).to.equal(7);
    expect(await log.state()).to.include({ first: 7, last: 7 });
  });

  it("makes room in a log that is full, of a fixed size", async () => {
    await start(64 * 1_024);
    const data = new Uint8Array(10_000);
    let outcome = await log.append(data, 5_000);
    while (outcome.kind === "accepted") outcome = await log.append(data, 5_000);
    expect(outcome.kind).to.equal("full");
    const before = await log.state();
    await log.makeRoom();
    expect((await log.state()).bytesMax - before.bytesMax).to.equal(LOG_ROOM_BYTES);
    const next = { kind: "accepted", sequence: before.last + 1 };
    expect(await log.append(bytes("told"), 5_000)).to.deep.equal(next);
    // Nothing that was there is gone.
    expect(await log.state()).to.include({ first: 1, last: before.last + 1 });
  });

  it("has room again where it was full, once it is trimmed", async () => {
    await start(64 * 1_024);
    const data = new Uint8Array(10_000);
    let outcome = await log.append(data, 5_000);
    while (outcome.kind === "accepted") outcome = await log.append(data, 5_000);
    expect(outcome.kind).to.equal("full");
    const { last } = await log.state();
    await world.trim(last);
    expect(await log.append(data, 5_000)).to.deep.equal({ kind: "accepted", sequence: last + 1 });
    const { bytes: size, bytesMax } = await log.state();
    expect(size).to.be.within(20_000, bytesMax / 2);
  });

  it("makes a forgotten consumer anew, says `resumed`, and leaves nothing out", async () => {
    await start();
    for (const each of ["a", "b"]) await append(log, each);
    const consumer = consume(0);
    await take(consumer, 2);
    await world.forgetConsumers();
    for (const each of ["c", "d"]) await append(log, each);
    const { found, resumed } = await takeAll(consumer, 2);
    expect(found.map(text)).to.deep.equal(["3 c", "4 d"]);
    expect(resumed).to.be.greaterThan(0);
    await append(log, "e");
    expect((await take(consumer, 1)).map(text)).to.deep.equal(["5 e"]);
  }).timeout(30_000);

  it("has a last entry whose delivery was lost, and brings it when another follows", async () => {
    await start();
    const consumer = consume(0);
    await append(log, "a");
    await take(consumer, 1);
    world.dropNextDelivery(log);
    let isHere = false;
    const coming = takeAll(consumer, 2).finally(() => {
      isHere = true;
    });
    const sequence = await append(log, "lost");
    // Nobody knows when it would come by itself: who knows that it is there reads it.
    expect(text((await log.read(sequence)) as LogMessage)).to.equal("2 lost");
    expect(await log.tail()).to.equal(2);
    expect(isHere).to.equal(false);
    await append(log, "b");
    const { found, resumed } = await coming;
    expect(found.map(text)).to.deep.equal(["2 lost", "3 b"]);
    expect(resumed).to.be.greaterThan(0);
  });

  it("can be asked for an entry that no consumer has brought", async () => {
    await start();
    const consumer = consume(0);
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    // Nobody asks the consumer: what it would bring is read by its sequence.
    const sequence = await append(log, "late");
    expect(text((await log.read(sequence)) as LogMessage)).to.equal("1 late");
    expect((await take(consumer, 1)).map(text)).to.deep.equal(["1 late"]);
  });
}

async function append(log: Log, content: string): Promise<Sequence> {
  const appended = await log.append(bytes(content), 5_000);
  if (appended.kind !== "accepted") throw new Error(`${appended.kind}: ${appended.reason}`);
  return appended.sequence;
}

async function take(consumer: LogConsumer, count: number): Promise<LogMessage[]> {
  return (await takeAll(consumer, count)).found;
}

/** The next `count` entries, and how often the consumer said `resumed` on the way. */
async function takeAll(
  consumer: LogConsumer,
  count: number,
): Promise<{ found: LogMessage[]; resumed: number }> {
  const found: LogMessage[] = [];
  let resumed = 0;
  while (found.length < count) {
    const delivery = await consumer.next();
    if (delivery === undefined) throw new Error("the consumer was stopped");
    if (delivery.kind === "resumed") resumed += 1;
    else found.push(...delivery.messages);
  }
  return { found, resumed };
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text({ sequence, data }: LogMessage): string {
  return `${sequence} ${new TextDecoder().decode(data)}`;
}
