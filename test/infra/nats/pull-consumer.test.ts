/**
 * Pull consumer, against a server that the test plays: what it asks for, which of the server's
 * words it believes, and when it makes its consumer again.
 */
import { expect } from "chai";
import type { ConsumerConfig } from "nats";
import type { BusStatus, PublishOptions, Subscription } from "../../../infra/bus.js";
import { NatsMessage } from "../../../infra/nats/nats-message.js";
import { PullConsumer, type PullConsumerOptions } from "../../../infra/nats/pull-consumer.js";
import { KvError } from "../../../protocol/errors.js";
import { ManualClock } from "../../support/manual-clock.js";

const HEARTBEAT_MS = 1_000;
const PULL_COUNT = 3;
const PULL_BYTES = 1_000;
const resumed = { kind: "resumed" };

interface Published {
  readonly subject: string;
  readonly data: string;
  readonly reply: string | undefined;
}

type Bus = PullConsumerOptions<{ readonly sequence: number }>["bus"];

/** One connection; the test says what the server answers. */
class PlayedServer implements Bus {
  status: BusStatus = "connected";
  readonly published: Published[] = [];
  readonly #handlers = new Map<string, (message: NatsMessage) => void>();
  readonly #listeners = new Set<(status: BusStatus) => void>();
  #inboxCount = 0;

  newInbox(): string {
    this.#inboxCount += 1;
    return `_INBOX.${this.#inboxCount}`;
  }

  publish(subject: string, data: Uint8Array, { reply }: PublishOptions = {}): void {
    this.published.push({ subject, data: Buffer.from(data).toString(), reply });
  }

  subscribe(
    subject: string,
    _queue: string | undefined,
    handler: (message: NatsMessage) => void,
  ): Subscription {
    this.#handlers.set(subject, handler);
    const unsubscribe = (): void => void this.#handlers.delete(subject);
    return { unsubscribe, drain: () => Promise.resolve(unsubscribe()) };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  change(status: BusStatus): void {
    this.status = status;
    for (const listener of this.#listeners) listener(status);
  }

  get subscriptionCount(): number {
    return this.#handlers.size;
  }

  /** Where the pulls that were sent so far want their messages. */
  get pulls(): Published[] {
    return this.published.filter(({ subject }) => subject.includes(".MSG.NEXT."));
  }

  /** Delivers a message of the stream to the last pull. */
  deliver(sequence: number, delivered: number, bytes = 0): void {
    const end = `1.${sequence}.${delivered}.1767225600123000000.0`;
    this.#send("kv.event", `$JS.ACK.stream.name.${end}`, "", bytes);
  }

  /** Says something to a pull, the last one if none is named. */
  say(status: string, headers = "", pull = this.pulls.at(-1)): void {
    const lines = `NATS/1.0 ${status}\r\n${headers}\r\n`;
    this.#send(pull?.reply ?? "", undefined, lines, 0);
  }

  #send(subject: string, reply: string | undefined, headers: string, bytes: number): void {
    const raw = {
      subject: Buffer.from(subject),
      ...(reply === undefined ? {} : { reply: Buffer.from(reply) }),
      hdr: headers === "" ? -1 : headers.length,
    };
    const message = new NatsMessage({
      _msg: raw,
      _rdata: Buffer.concat([Buffer.from(headers), Buffer.alloc(bytes)]),
    });
    for (const handler of this.#handlers.values()) handler(message);
  }
}

describe("pull consumer", () => {
  let clock: ManualClock;
  let server: PlayedServer;
  let configs: Partial<ConsumerConfig>[];
  let warnings: string[];
  let consumer: PullConsumer<{ readonly sequence: number }>;

  beforeEach(() => {
    clock = new ManualClock();
    server = new PlayedServer();
    configs = [];
    warnings = [];
    consumer = open();
  });

  afterEach(() => consumer.stop());

  function open(
    options: Partial<PullConsumerOptions<{ readonly sequence: number }>> = {},
  ): typeof consumer {
    return new PullConsumer({
      bus: server,
      stream: "stream",
      create: (config) => Promise.resolve(configs.push(config)),
      start: (after) => ({ opt_start_seq: after + 1 }),
      take: (_message, { sequence }) => ({ sequence }),
      pullBytes: PULL_BYTES,
      pullCount: PULL_COUNT,
      clock,
      heartbeatMs: HEARTBEAT_MS,
      inactiveMs: 60_000,
      pauseMs: (count) => 10 * count,
      warn: (description) => void warnings.push(description),
      ...options,
    });
  }

  /** The start of each consumer that was made. */
  function starts(): (number | undefined)[] {
    return configs.map(({ opt_start_seq: start }) => start);
  }

  for (const [what, delivered] of [
    ["left out", 3],
    ["given twice", 1],
  ] as const) {
    it(`makes its consumer again where a delivery's number is ${what}`, async () => {
      const first = await opened();
      server.deliver(1, 1);
      expect(await first.next).to.deep.equal({ kind: "messages", messages: [{ sequence: 1 }] });
      const next = consumer.next();
      server.deliver(9, delivered);
      expect(await clock.resolve(next)).to.deep.equal(resumed);
      expect(starts()).to.deep.equal([1, 2]);
      expect(warnings).to.deep.equal([`consumer of stream: message ${delivered} followed 1`]);
      expect(server.subscriptionCount).to.equal(1);
      const deleted = server.published.filter(({ subject }) => subject.includes(".DELETE."));
      expect(deleted.map(({ subject }) => subject)).to.deep.equal([
        "$JS.API.CONSUMER.DELETE.stream.1",
      ]);
    });
  }

  it("makes its consumer again where a heartbeat shows a loss, and only there", async () => {
    const { next } = await opened();
    server.say("100 Idle Heartbeat", "Nats-Last-Consumer: 0\r\n");
    expect(warnings).to.deep.equal([]);
    server.say("100 Idle Heartbeat", "Nats-Last-Consumer: 1\r\n");
    expect(await clock.resolve(next)).to.deep.equal(resumed);
    expect(warnings).to.deep.equal(["consumer of stream: a heartbeat shows lost messages"]);
  });

  it("makes its consumer again when nothing was heard for 2.5 heartbeats", async () => {
    const { next } = await opened();
    await clock.advance(2 * HEARTBEAT_MS);
    server.say("100 Idle Heartbeat");
    await clock.advance(2 * HEARTBEAT_MS);
    expect(warnings).to.deep.equal([]);
    expect(await clock.resolve(next)).to.deep.equal(resumed);
    expect(warnings).to.deep.equal(["consumer of stream: nothing heard for 3000 ms"]);
  });

  it("reads again what came and was not handed over", async () => {
    const { next } = await opened();
    server.deliver(1, 1);
    await next;
    server.deliver(2, 2);
    server.change("disconnected");
    server.change("connected");
    expect(await clock.resolve(consumer.next())).to.deep.equal(resumed);
    expect(starts()).to.deep.equal([1, 2]);
  });

  it("asks for no consumer while the connection is down", async () => {
    const { next } = await opened();
    server.change("disconnected");
    await clock.advance(10_000);
    expect(configs).to.have.length(1);
    server.change("connected");
    expect(await clock.resolve(next)).to.deep.equal(resumed);
    expect(configs).to.have.length(2);
  });

  it("sends the next pull when one is used up and its reader asks for more", async () => {
    const first = await opened();
    server.deliver(1, 1, PULL_BYTES);
    await first.next;
    expect(server.pulls).to.have.length(1);
    const second = consumer.next();
    expect(server.pulls).to.have.length(2);
    for (let number = 2; number <= 1 + PULL_COUNT; number += 1) server.deliver(number, number);
    expect(await second).to.deep.equal({
      kind: "messages",
      messages: [{ sequence: 2 }, { sequence: 3 }, { sequence: 4 }],
    });
    void consumer.next();
    expect(server.pulls).to.have.length(3);
    expect(JSON.parse(server.pulls[2]?.data ?? "")).to.deep.equal({
      batch: PULL_COUNT,
      max_bytes: PULL_BYTES,
      expires: 30_000_000_000,
      idle_heartbeat: 1_000_000_000,
    });
  });

  it("tells the end of a pull from the end of a consumer", async () => {
    const { next } = await opened();
    server.say("408 Request Timeout");
    expect(server.pulls).to.have.length(2);
    // A late word about the first pull.
    server.say("409 Consumer Deleted", "", server.pulls[0]);
    server.say("409 Batch Completed");
    expect(server.pulls).to.have.length(3);
    server.say("409 Consumer Deleted");
    expect(await clock.resolve(next)).to.deep.equal(resumed);
    expect(warnings).to.deep.equal(["consumer of stream: the server says 409 Consumer Deleted"]);
  });

  it("waits longer after each failure, and as little as at first when all was well", async () => {
    let failuresLeft = 3;
    const atMs: number[] = [];
    consumer.stop();
    consumer = open({
      create: () => {
        atMs.push(clock.elapsedMs());
        failuresLeft -= 1;
        return failuresLeft < 0
          ? Promise.resolve()
          : Promise.reject(new KvError("unavailable", ""));
      },
    });
    await clock.resolve(consumer.next());
    expect(atMs).to.deep.equal([0, 10, 30, 60]);
    const next = consumer.next();
    server.deliver(1, 1);
    await next;
    server.say("409 Consumer Deleted");
    await clock.resolve(consumer.next());
    expect(atMs.slice(4)).to.deep.equal([60]);
  });

  it("ends its reader when it is stopped, and when the connection is closed", async () => {
    const { next } = await opened();
    server.change("closed");
    expect(await next).to.equal(undefined);
    expect(await open().next()).to.equal(undefined);
    expect(server.subscriptionCount).to.equal(0);
  });

  /** A pull that waits for messages; in an object, as a promise alone would be waited for. */
  async function opened(): Promise<{ readonly next: ReturnType<typeof consumer.next> }> {
    expect(await clock.resolve(consumer.next())).to.deep.equal(resumed);
    const next = consumer.next();
    expect(server.pulls).to.have.length(1);
    return { next };
  }
});
