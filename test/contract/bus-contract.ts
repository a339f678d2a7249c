/**
 * What every Bus does, whatever it runs on.
 */
import { expect } from "chai";
import type { Bus, Message } from "../../infra/bus.js";
import { KvError, type ErrorName } from "../../protocol/errors.js";
import { until } from "../support/until.js";

export interface BusWorld {
  /** Buses of one world reach one another. */
  connect(name: string): Promise<Bus>;
  /** What handlers threw so far. */
  readonly failures: readonly unknown[];
  close(): Promise<void>;
}

export function busContract(createWorld: () => Promise<BusWorld>): void {
  let world: BusWorld;
  let bus: Bus;
  let other: Bus;
  beforeEach(async () => {
    world = await createWorld();
    bus = await world.connect("a");
    other = await world.connect("b");
  });
  afterEach(() => world.close());

  it("hands messages over in the order of their publisher", async () => {
    const received: number[] = [];
    other.subscribe("numbers", undefined, ({ data }) => void received.push(data[0] ?? -1));
    await other.flush();
    for (let number = 0; number < 200; number++) bus.publish("numbers", Uint8Array.of(number));
    await until(() => received.length >= 200);
    expect(received).to.deep.equal(Array.from({ length: 200 }, (_, index) => index));
  });

  it("matches one token with * and all that follow with >", async () => {
    const received: string[] = [];
    other.subscribe("kv.*.x", undefined, ({ subject }) => void received.push(`* ${subject}`));
    other.subscribe("kv.>", undefined, ({ subject }) => void received.push(`> ${subject}`));
    await other.flush();
    for (const subject of ["kv", "kv.a", "kv.a.x", "kv.a.b.x"]) bus.publish(subject, bytes(""));
    await until(() => received.length >= 4);
    const expected = ["* kv.a.x", "> kv.a", "> kv.a.b.x", "> kv.a.x"];
    expect(received.toSorted()).to.deep.equal(expected);
  });

  it("gives a message once to a queue group, whichever patterns its members have", async () => {
    let queued = 0;
    let plain = 0;
    const patterns = ["kv.ring.7.>", "kv.ring.7.get", "kv.ring.*.get"];
    for (const pattern of patterns) other.subscribe(pattern, "owners", () => void (queued += 1));
    bus.subscribe("kv.ring.>", "owners", () => void (queued += 1));
    other.subscribe("kv.ring.7.get", undefined, () => void (plain += 1));
    await Promise.all([bus.flush(), other.flush()]);
    for (let count = 0; count < 50; count++) bus.publish("kv.ring.7.get", bytes(""));
    await until(() => plain >= 50 && queued >= 50);
    await Promise.all([bus.flush(), other.flush()]);
    expect(queued).to.equal(50);
  });

  it("carries headers, repeated ones in order, under lower-case names", async () => {
    const received: Message[] = [];
    other.subscribe("headers", undefined, (message) => void received.push(message));
    await other.flush();
    const headers = [
      ["Kv-TTL", "1 h: ü"],
      ["X", "1"],
      ["x", "2"],
      ["Empty", ""],
    ] as const;
    bus.publish("headers", bytes("value"), { headers, reply: "back" });
    bus.publish("headers", bytes(""));
    await until(() => received.length >= 2);
    const [first, second] = received;
    expect([...(first?.headers ?? [])]).to.deep.equal([
      ["kv-ttl", ["1 h: ü"]],
      ["x", ["1", "2"]],
      ["empty", [""]],
    ]);
    expect([text(first), first?.reply]).to.deep.equal(["value", "back"]);
    expect([text(second), second?.reply, second?.headers]).to.deep.equal([
      "",
      undefined,
      undefined,
    ]);
  });

  it("refuses a header value that would end its line", () => {
    const headers = [["Kv-Key", "a\r\nNats-Rollup: all"]] as const;
    const publish = (): void => bus.publish("headers", bytes(""), { headers });
    expect(publish).to.throw(KvError).with.property("kind", "bad-request");
  });

  it("refuses what is larger than the server takes, by its size", () => {
    const limit = bus.server().maxPayload;
    const publish = (): void => bus.publish("large", new Uint8Array(limit + 1));
    expect(publish).to.throw(KvError, String(limit)).with.property("kind", "too-large");
  });

  it("answers requests, each with its own reply", async () => {
    other.subscribe("echo", undefined, ({ data, reply, headers }) => {
      other.publish(reply ?? "", data, { headers: [["Seen", headers?.get("n")?.[0] ?? ""]] });
    });
    await other.flush();
    const texts = Array.from({ length: 100 }, (_, index) => `request ${index}`);
    const replies = await Promise.all(
      texts.map((each) =>
        bus.request("echo", bytes(each), { timeoutMs: 5_000, headers: [["N", each]] }),
      ),
    );
    expect(replies.map(text)).to.deep.equal(texts);
    expect(replies.map(({ headers }) => headers?.get("seen"))).to.deep.equal(texts.map((t) => [t]));
  });

  it("returns replies that tell an error like any other", async () => {
    const headers = [["Nats-Service-Error-Code", "503"]] as const;
    other.subscribe("sick", undefined, ({ reply }) => {
      other.publish(reply ?? "", bytes(""), { headers });
    });
    await other.flush();
    const reply = await bus.request("sick", bytes(""), { timeoutMs: 5_000 });
    expect(reply.headers?.get("nats-service-error-code")).to.deep.equal(["503"]);
  });

  it("says `unavailable` at once where nobody listens", async () => {
    const startMs = Date.now();
    await expectError("unavailable", bus.request("nobody", bytes(""), { timeoutMs: 60_000 }));
    expect(Date.now() - startMs).to.be.below(10_000);
  });

  it("says `in-doubt` where no answer comes in time, and ignores a later one", async () => {
    const replies: string[] = [];
    other.subscribe("slow", undefined, ({ reply }) => void replies.push(reply ?? ""));
    await other.flush();
    await expectError("in-doubt", bus.request("slow", bytes("1"), { timeoutMs: 20 }));
    const second = bus.request("slow", bytes("2"), { timeoutMs: 5_000 });
    await until(() => replies.length === 2);
    for (const reply of replies) other.publish(reply, bytes(`to ${replies.indexOf(reply)}`));
    expect(text(await second)).to.equal("to 1");
  });

  it("times each request out by its own limit, the shorter one first", async () => {
    other.subscribe("slow", undefined, () => undefined);
    await other.flush();
    const order: string[] = [];
    const ended = (timeoutMs: number): Promise<unknown> =>
      bus.request("slow", bytes(""), { timeoutMs }).catch(() => order.push(String(timeoutMs)));
    await Promise.all([ended(120), ended(10), ended(60)]);
    expect(order).to.deep.equal(["10", "60", "120"]);
  });

  it("rejects an aborted request with the signal's reason, before and while it waits", async () => {
    other.subscribe("slow", undefined, () => undefined);
    await other.flush();
    const controller = new AbortController();
    const { signal } = controller;
    const request = bus.request("slow", bytes(""), { timeoutMs: 60_000, signal });
    const reason = new Error("the caller went");
    controller.abort(reason);
    expect(await request.catch((error: unknown) => error)).to.equal(reason);
    const late = bus.request("slow", bytes(""), { timeoutMs: 60_000, signal });
    expect(await late.catch((error: unknown) => error)).to.equal(reason);
  });

  it("hands nothing over after unsubscribe", async () => {
    const received: string[] = [];
    const subscription = other.subscribe(
      "s",
      undefined,
      (message) => void received.push(text(message)),
    );
    other.subscribe("s", undefined, (message) => void received.push(`still ${text(message)}`));
    await other.flush();
    subscription.unsubscribe();
    bus.publish("s", bytes("late"));
    await until(() => received.length > 0);
    await Promise.all([bus.flush(), other.flush()]);
    expect(received).to.deep.equal(["still late"]);
  });

  it("hands over what is on its way before a drain ends", async () => {
    let count = 0;
    const subscription = other.subscribe("s", undefined, () => void (count += 1));
    await other.flush();
    for (let index = 0; index < 100; index++) bus.publish("s", bytes(""));
    await bus.flush();
    await subscription.drain();
    expect(count).to.equal(100);
    bus.publish("s", bytes(""));
    await Promise.all([bus.flush(), other.flush()]);
    expect(count).to.equal(100);
  });

  it("tells what a handler throws, and goes on", async () => {
    const received: string[] = [];
    other.subscribe("s", undefined, (message) => {
      if (text(message) === "bad") throw new Error("a bug");
      received.push(text(message));
    });
    await other.flush();
    for (const each of ["one", "bad", "two"]) bus.publish("s", bytes(each));
    await until(() => received.length >= 2);
    expect(received).to.deep.equal(["one", "two"]);
    expect(world.failures).to.have.length(1);
    expect(world.failures[0]).to.have.property("message", "a bug");
  });

  it("settles what waits when it is closed, and says so", async () => {
    other.subscribe("slow", undefined, () => undefined);
    await other.flush();
    const seen: string[] = [];
    bus.onStatus((status) => void seen.push(status));
    const request = bus.request("slow", bytes(""), { timeoutMs: 60_000 });
    const [error] = await Promise.all([request.catch((thrown: unknown) => thrown), bus.close()]);
    expect(error).to.be.instanceOf(KvError).with.property("kind", "in-doubt");
    await until(() => seen.length > 0);
    expect(seen).to.deep.equal(["closed"]);
  });
}

async function expectError(kind: ErrorName, promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(KvError).with.property("kind", kind);
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(message: Message | undefined): string {
  return new TextDecoder().decode(message?.data);
}
