/**
 * What every Events does, whatever it runs on.
 */
import { expect } from "chai";
import {
  EVENTS_OUTSTANDING_MAX,
  type Events,
  type EventWriter,
  type OutgoingEvent,
  type StoredEvent,
} from "../../infra/events.js";
import { KvError } from "../../protocol/errors.js";
import type { Sequence } from "../../protocol/ids.js";

const marker = "kv.relay.s1";

/** A new, empty stream of store `kv`; several handles on it, as different programs have them. */
export function eventsContract(connect: () => Promise<Events>): void {
  let events: Events;
  const writers: EventWriter[] = [];
  const writer = (of: Events = events): EventWriter => {
    const each = of.writer();
    writers.push(each);
    return each;
  };
  beforeEach(async () => {
    events = await connect();
    await events.open();
  });
  afterEach(() => {
    for (const each of writers.splice(0)) each.close();
  });

  it("is empty at first, and opening it again changes nothing", async () => {
    expect(await events.state()).to.include({ first: 1, last: 0 });
    expect(await events.last(marker)).to.equal(undefined);
    const first = await events.open();
    expect(await events.open()).to.deep.equal(first);
  });

  it("keeps subject, headers and bytes of what is published, in order", async () => {
    const own = writer();
    const headers = [["Kv-Key", "a%20b"]] as const;
    own.publish({ subject: "kv.event.set.a", headers, data: Buffer.from("1") }, fence(0));
    own.publish(message("kv.event.del.b"), fence(0));
    own.publish(message(marker, "place"), fence(0));
    expect(await own.flushed()).to.equal(3);
    const [first, second, ...others] = await collect(events, 0, 3);
    expect(others).to.deep.equal([]);
    expect(first).to.include({ sequence: 1, subject: "kv.event.set.a" });
    expect(first?.headers?.get("kv-key")).to.deep.equal(["a%20b"]);
    expect(text(first)).to.equal("1");
    expect(second).to.include({ sequence: 2, subject: "kv.event.del.b" });
    expect(second?.data.length).to.equal(0);
    const last = await events.last(marker);
    expect(last).to.include({ sequence: 3, subject: marker });
    expect(text(last)).to.equal("place");
    expect(await events.state()).to.include({ first: 1, last: 3 });
  });

  it("refuses whoever does not know the last marker, and all that follows from there", async () => {
    const first = writer();
    first.publish(message(marker), fence(0));
    const begun = await first.flushed();
    first.publish(message("kv.event.set.a"), fence(begun));
    await first.flushed();
    const second = writer(await connect());
    second.publish(message(marker), fence(begun));
    const taken = await second.flushed();
    first.publish(message("kv.event.set.late"), fence(begun));
    first.publish(message("kv.event.set.later"), fence(begun));
    const refusal: unknown = await first.flushed().catch((error: unknown) => error);
    expect(refusal).to.be.instanceOf(KvError).and.to.include({ kind: "conflict" });
    expect(first.failure).to.equal(refusal);
    first.publish(message("kv.event.set.latest"), fence(taken));
    second.publish(message("kv.event.set.b"), fence(taken));
    await second.flushed();
    const subjects = (await collect(events, 0, taken + 1)).map(({ subject }) => subject);
    expect(subjects).to.deep.equal([marker, "kv.event.set.a", marker]);
    expect(await events.state()).to.include({ last: taken + 1 });
  });

  it("is full at its window, and has room again once answers come", async () => {
    const own = writer();
    for (let count = 0; count < EVENTS_OUTSTANDING_MAX - 1; count += 1) {
      own.publish(message("kv.event.set.a"), fence(0));
    }
    expect(own.isFull).to.equal(false);
    own.publish(message("kv.event.set.a"), fence(0));
    expect(own.isFull).to.equal(true);
    await own.ready();
    expect(own.isFull).to.equal(false);
    expect(await own.flushed()).to.equal(EVENTS_OUTSTANDING_MAX);
  });

  it("reads what lies between two sequences, also in several batches", async () => {
    const own = writer();
    for (let count = 1; count <= 2_500; count += 1) {
      if (own.isFull) await own.ready();
      own.publish(message("kv.event.set.a", String(count)), fence(0));
    }
    await own.flushed();
    const found = await collect(events, 100, 2_450);
    expect(found.map(text)).to.deep.equal(
      Array.from({ length: 2_349 }, (_, index) => String(index + 101)),
    );
    expect(await collect(events, 5, 6)).to.deep.equal([]);
  }).timeout(20_000);
}

function fence(sequence: number): { subject: string; sequence: Sequence } {
  return { subject: marker, sequence: sequence as Sequence };
}

function message(subject: string, data = ""): OutgoingEvent {
  return { subject, headers: [], data: Buffer.from(data) };
}

async function collect(events: Events, after: number, before: number): Promise<StoredEvent[]> {
  const found: StoredEvent[] = [];
  for await (const batch of events.read(after as Sequence, before as Sequence)) {
    found.push(...batch);
  }
  return found;
}

function text(stored: StoredEvent | undefined): string {
  return Buffer.from(stored?.data ?? []).toString();
}
