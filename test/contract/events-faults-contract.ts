/**
 * What every Events does when something goes wrong: what the relay's turns rely on, the same on
 * JetStream and in memory.
 */
import { expect } from "chai";
import type { Events, EventWriter, OutgoingEvent, StoredEvent } from "../../infra/events.js";
import type { Sequence, ShardId } from "../../protocol/ids.js";
import type { Names } from "../../protocol/nats/subjects.js";
import { refusal } from "../support/failure.js";

export interface FaultyEventsWorld {
  readonly names: Names;
  /** A handle as a program has it, on a connection of its own; all are of one stream. */
  connect(): Promise<Events>;
  /** The `count` messages that `publish` sends arrive; what is answered is lost, with the
   * connection, which is back when this resolves. */
  loseAnswers(events: Events, count: number, publish: () => void): Promise<void>;
  /** What is published stays on its way, until the function returned is called. */
  hold(events: Events): () => Promise<void>;
  /** Refuses messages of more bytes. */
  refuseAbove(bytes: number): Promise<void>;
  /** Messages below `first` go. */
  trim(first: number): Promise<void>;
  /** All lose their connection, and get none until comeBack(). */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** What stands in the stream now is on the disk. All connections go, and are back. */
  sync(): Promise<void>;
  /** The server dies, and comes back with what was on the disk at the last sync(). */
  crash(): Promise<void>;
  /** Time goes faster, for those whose answers cannot come. */
  hurry(isHurried: boolean): void;
  close(): Promise<void>;
}

export function eventsFaultsContract(
  createWorld: (bytesMax?: number) => Promise<FaultyEventsWorld>,
): void {
  let world: FaultyEventsWorld;
  let events: Events;
  let marker: string;
  const fence = (sequence: number): { subject: string; sequence: Sequence } => {
    return { subject: marker, sequence: sequence as Sequence };
  };
  const set = (key: string): string => world.names.event("set", key);
  const writers: EventWriter[] = [];
  const writer = (of: Events = events): EventWriter => {
    const each = of.writer();
    writers.push(each);
    return each;
  };
  const start = async (bytesMax?: number): Promise<void> => {
    world = await createWorld(bytesMax);
    marker = world.names.relayMarker("s1" as ShardId);
    events = await world.connect();
    await events.open();
  };
  const publish = async (subject: string, after: number, data = ""): Promise<Sequence> => {
    const own = writer();
    own.publish(message(subject, data), fence(after));
    return own.flushed();
  };
  const collect = async (after: number, before: number): Promise<StoredEvent[]> => {
    const found: StoredEvent[] = [];
    for await (const batch of events.read(after as Sequence, before as Sequence)) {
      found.push(...batch);
    }
    return found;
  };
  const subjects = async (): Promise<string[]> => {
    const { first, last } = await events.state();
    if (first > last) return [];
    const end = await publish(set("end"), (await events.last(marker))?.sequence ?? 0);
    return (await collect(0, end)).map(({ subject }) => subject);
  };
  afterEach(async () => {
    for (const each of writers.splice(0)) each.close();
    await world.close();
  });

  it("refuses what arrives after another has begun its turn, all of it", async () => {
    await start();
    const begun = await publish(marker, 0);
    const slow = await world.connect();
    const late = writer(slow);
    const letGo = world.hold(slow);
    for (const key of ["a", "b"]) late.publish(message(set(key)), fence(begun));
    const taken = await publish(marker, begun);
    await letGo();
    expect(await refusal(late.flushed())).to.have.property("kind", "conflict");
    // The stream has looked at all that was sent before.
    const again = writer(slow);
    again.publish(message(set("c")), fence(taken));
    await again.flushed();
    expect(await subjects()).to.deep.equal([marker, marker, set("c")]);
  });

  it("has what it took though the answer was lost, and the writer's end is in doubt", async () => {
    await start();
    const begun = await publish(marker, 0);
    const unlucky = await world.connect();
    const own = writer(unlucky);
    await world.loseAnswers(unlucky, 2, () => {
      own.publish(message(set("a")), fence(begun));
      own.publish(message(marker, "place"), fence(begun));
    });
    expect(await refusal(own.flushed())).to.have.property("kind", "in-doubt");
    const last = await unlucky.last(marker);
    expect(text(last)).to.equal("place");
    expect(last?.sequence).to.equal(begun + 2);
    // Its connection is back, and its fence would hold: it publishes nothing all the same.
    own.publish(message(set("b")), fence(begun + 2));
    expect(await refusal(own.flushed())).to.equal(own.failure);
    expect(await subjects()).to.deep.equal([marker, set("a"), marker]);
  });

  it("may take what was under way behind a refused message, and nothing after that", async () => {
    await start();
    const begun = await publish(marker, 0);
    await world.refuseAbove(1_000);
    const own = writer();
    own.publish(message(set("a")), fence(begun));
    own.publish(message(set("refused"), "x".repeat(1_001)), fence(begun));
    own.publish(message(set("b")), fence(begun));
    expect(await refusal(own.flushed())).to.have.property("kind", "unavailable");
    own.publish(message(set("c")), fence(begun));
    expect(await refusal(own.flushed())).to.equal(own.failure);
    expect(await refusal(own.ready())).to.equal(own.failure);
    const expected = [marker, set("a"), set("b")];
    expect(await subjects()).to.deep.equal(expected);
  });

  it("gives a writer up that gets no answer in time; what it sent may still land", async () => {
    await start();
    const begun = await publish(marker, 0);
    const slow = await world.connect();
    const own = writer(slow);
    const letGo = world.hold(slow);
    world.hurry(true);
    own.publish(message(set("a")), fence(begun));
    expect(await refusal(own.flushed())).to.have.property("kind", "in-doubt");
    world.hurry(false);
    await letGo();
    const next = writer(slow);
    next.publish(message(set("b")), fence(begun));
    expect(await next.flushed()).to.equal(begun + 2);
    expect(await subjects()).to.deep.equal([marker, set("a"), set("b")]);
  });

  it("begins later once it is trimmed; a marker that is gone is none", async () => {
    await start();
    const begun = await publish(marker, 0);
    for (const key of ["a", "b", "c"]) await publish(set(key), begun);
    await world.trim(3);
    expect(await events.state()).to.include({ first: 3, last: 4 });
    expect(await events.last(marker)).to.equal(undefined);
    const refused = await refusal(publish(set("d"), begun));
    expect(refused).to.have.property("kind", "conflict");
    const next = await publish(marker, 0);
    expect(next).to.equal(5);
    // Silently: who reads has to compare what it gets with what it wants.
    const found = await collect(0, next);
    expect(found.map(({ sequence }) => sequence)).to.deep.equal([3, 4]);
    await world.trim(6);
    expect(await events.state()).to.include({ first: 6, last: 5 });
    expect(await publish(marker, 0)).to.equal(6);
  });

  it("lets the oldest go where it is full, markers among them, and refuses nothing", async () => {
    await start(64 * 1_024);
    const begun = await publish(marker, 0);
    const own = writer();
    for (let count = 1; count <= 6; count += 1) {
      own.publish(message(set("a"), "x".repeat(10_000)), fence(begun));
    }
    await own.flushed();
    expect(await events.last(marker)).to.have.property("sequence", begun);
    own.publish(message(set("a"), "x".repeat(10_000)), fence(begun));
    expect(await own.flushed()).to.equal(8);
    expect(await events.last(marker)).to.equal(undefined);
    const { first, last, bytes, bytesMax } = await events.state();
    expect(first).to.be.within(2, 3);
    expect(last).to.equal(8);
    expect(bytes).to.be.within(bytesMax / 2, bytesMax);
    // From here on whoever names that marker is refused, as it is not there any more.
    own.publish(message(set("a")), fence(begun));
    expect(await refusal(own.flushed())).to.have.property("kind", "conflict");
    expect(await publish(marker, 0)).to.equal(9);
  });

  it("answers nobody while it is away, and is as it was when it is back", async () => {
    await start();
    const begun = await publish(marker, 0, "place");
    await publish(set("a"), begun);
    const own = writer();
    await world.goAway();
    world.hurry(true);
    own.publish(message(set("lost")), fence(begun));
    const asked: (() => Promise<unknown>)[] = [
      () => own.flushed(),
      () => publish(set("lost"), begun),
      () => events.open(),
      () => events.last(marker),
      () => events.state(),
      () => collect(0, 2),
    ];
    const failures = await Promise.all(asked.map((ask) => refusal(ask())));
    for (const { kind } of failures) expect(kind).to.be.oneOf(["unavailable", "in-doubt"]);
    world.hurry(false);
    await world.comeBack();
    expect(await refusal(own.flushed())).to.equal(own.failure);
    await events.open();
    expect(text(await events.last(marker))).to.equal("place");
    expect(await subjects()).to.deep.equal([marker, set("a")]);
  });

  it("gives sequences again once it has lost its tail, and goes by the marker left", async () => {
    await start();
    const first = await publish(marker, 0, "first");
    await publish(set("a"), first);
    await world.sync();
    const own = writer();
    own.publish(message(set("lost")), fence(first));
    own.publish(message(marker, "lost"), fence(first));
    const lost = await own.flushed();
    await world.crash();
    expect(await events.state()).to.include({ last: 2 });
    expect(text(await events.last(marker))).to.equal("first");
    // There is nothing to prove that what comes before is all there is.
    expect(await refusal(collect(0, lost))).to.have.property("kind", "unavailable");
    const refused = await refusal(publish(set("b"), lost));
    expect(refused).to.have.property("kind", "conflict");
    await publish(set("b"), first);
    expect(await publish(marker, first, "second")).to.equal(lost);
    // Another marker stands where its own one stood; but it went with its connection.
    own.publish(message(set("c")), fence(lost));
    expect(await refusal(own.flushed())).to.equal(own.failure);
    expect(await subjects()).to.deep.equal([marker, set("a"), set("b"), marker]);
  });
}

function message(subject: string, data = ""): OutgoingEvent {
  return { subject, headers: [], data: Buffer.from(data) };
}

function text(stored: StoredEvent | undefined): string | undefined {
  return stored && Buffer.from(stored.data).toString();
}
