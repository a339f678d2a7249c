/**
 * The bus over a real nats-server: as every bus, and what only a connection can do.
 */
import { expect } from "chai";
import { connect as connectNats } from "nats";
import { systemClock } from "../../../infra/clock.js";
import { connectBus, NatsBus } from "../../../infra/nats/nats-bus.js";
import { encodeHeaders, parseHeaders } from "../../../infra/nats/nats-message.js";
import { InvariantError } from "../../../protocol/assert.js";
import { busContract } from "../../contract/bus-contract.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";

describe("nats bus", () => {
  let server: TestServer;
  const buses: NatsBus[] = [];
  const failures: unknown[] = [];
  const connect = async (name: string, readsInTurns = false): Promise<NatsBus> => {
    const onFailure = (error: unknown): void => void failures.push(error);
    const bus = await connectBus({
      url: server.url,
      name,
      clock: systemClock,
      readsInTurns,
      onFailure,
    });
    buses.push(bus);
    return bus;
  };
  const close = async (): Promise<void> => {
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
    failures.length = 0;
  };
  before(async function () {
    this.timeout(30_000);
    server = await startTestServer({ mapping: false });
  });
  after(() => server.stop());

  busContract(() => Promise.resolve({ connect, failures, close }));

  describe("that reads in turns", () => {
    busContract(() => {
      const inTurns = (name: string): Promise<NatsBus> => connect(name, true);
      return Promise.resolve({ connect: inTurns, failures, close });
    });
  });

  it("reads a reply that lies in the socket before it ends a request late", async () => {
    const bus = await connect("busy");
    const asked = bus.request("$JS.API.INFO", new Uint8Array(), { timeoutMs: 60 });
    // The request leaves in this turn of the loop; the reply comes while nobody reads.
    await new Promise((resolve) => setImmediate(resolve));
    const endMs = performance.now() + 250;
    while (performance.now() < endMs);
    expect((await asked).data.length).to.be.greaterThan(0);
    await close();
  });

  describe("with its server killed", () => {
    afterEach(close);

    it("fails what was sent, holds what was not, and stands again with subscriptions", async () => {
      const [bus, other] = [await connect("a"), await connect("b")];
      other.subscribe("slow", undefined, () => undefined);
      other.subscribe("echo", undefined, ({ data, reply }) => other.publish(reply ?? "", data));
      await other.flush();
      const seen: string[] = [];
      bus.onStatus((status) => void seen.push(status));
      const sent = bus
        .request("slow", new Uint8Array(), { timeoutMs: 60_000 })
        .catch((e: unknown) => e);
      await bus.flush();
      await server.kill();
      expect(await sent).to.have.property("kind", "in-doubt");
      const short = bus
        .request("echo", new Uint8Array(), { timeoutMs: 50 })
        .catch((e: unknown) => e);
      expect(await short).to.have.property("kind", "unavailable");
      const held = bus.request("echo", Uint8Array.of(7), { timeoutMs: 30_000 });
      held.catch(() => undefined);
      bus.publish("echo", new Uint8Array());
      await server.restart();
      await until(() => seen.includes("connected"));
      // The other may still be on its way back: then nobody listens, and that is known.
      const echo = async (): Promise<boolean> => {
        const request = bus.request("echo", Uint8Array.of(9), { timeoutMs: 5_000 });
        return request.then(
          ({ data }) => data[0] === 9,
          () => false,
        );
      };
      await until(echo);
      const outcome = await held.then(
        ({ data }) => data[0],
        (e: { kind?: string }) => e.kind,
      );
      expect(outcome).to.be.oneOf([7, "unavailable"]);
      expect(seen).to.deep.equal(["disconnected", "connected"]);
    }).timeout(60_000);
  });

  it("takes a connection that is on its way back, and serves once it is there", async () => {
    const lost = await connectNats({
      servers: server.url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 20,
    });
    const other = await connect("other");
    other.subscribe("echo", undefined, ({ data, reply }) => other.publish(reply ?? "", data));
    await server.kill();
    // nats.js forgets its INFO when it dials.
    await until(() => lost.info === undefined);
    const bus = new NatsBus(lost, { clock: systemClock, onFailure: () => undefined });
    buses.push(bus);
    expect(bus.status).to.equal("disconnected");
    expect(bus.server()).to.include({ version: "", maxPayload: 1_048_576 });
    const short = bus.request("echo", new Uint8Array(), { timeoutMs: 20 }).catch((e: unknown) => e);
    expect(await short).to.have.property("kind", "unavailable");
    await server.restart();
    await until(() => bus.status === "connected");
    expect(bus.server().version).not.to.equal("");
    await until(async () => {
      const reply = bus.request("echo", Uint8Array.of(7), { timeoutMs: 1_000 });
      return (await reply.catch(() => undefined))?.data[0] === 7;
    });
    await server.kill();
    await until(() => lost.info === undefined);
    expect(bus.server().version).not.to.equal("");
    await close();
    await server.restart();
  }).timeout(60_000);

  it("can be closed while its server is away", async () => {
    const bus = await connect("a");
    const lost = new Promise<void>((resolve) => {
      bus.onStatus((status) => status === "disconnected" && resolve());
    });
    await server.kill();
    await lost;
    const held = bus.request("x", new Uint8Array(), { timeoutMs: 60_000 }).catch((e: unknown) => e);
    await bus.close();
    expect(await held).to.have.property("kind", "unavailable");
    await close();
    await server.restart();
  }).timeout(30_000);

  it("rejects as unavailable where no server is, without telling passwords", async () => {
    const url = "nats://user:secret@127.0.0.1:1";
    const onFailure = (): void => undefined;
    const failure = await connectBus({ url, name: "x", clock: systemClock, onFailure }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).to.have.property("kind", "unavailable");
    expect(failure).to.have.property("message").that.does.not.include("secret");
  });

  it("carries what is white space to Unicode alone", async () => {
    const bus = await connect("a");
    const received: string[] = [];
    bus.subscribe("kv.event.>", undefined, ({ subject }) => void received.push(subject));
    const subjects = ["\u00a0", "\u2003", "\u2028", "\ufeff", "\u0085"].map(
      (key) => `kv.event.${key}`,
    );
    for (const subject of subjects) bus.publish(subject, new Uint8Array());
    await until(() => received.length === subjects.length);
    expect(received).to.deep.equal(subjects);
    await close();
  });

  it("takes a subject with white space for a bug", async () => {
    const bus = await connect("a");
    expect(() => bus.publish("a b", new Uint8Array())).to.throw(InvariantError);
    expect(() => bus.subscribe("a\r\nPUB x 0", undefined, () => undefined)).to.throw(
      InvariantError,
    );
    await close();
  });
});

describe("header bytes", () => {
  it("are read as they were written", () => {
    const bytes = encodeHeaders([
      ["Kv-TTL", "1h"],
      ["X", "ü: 1"],
      ["x", ""],
    ]);
    expect(Buffer.from(bytes).toString()).to.equal(
      "NATS/1.0\r\nKv-TTL: 1h\r\nX: ü: 1\r\nx: \r\n\r\n",
    );
    expect([...(parseHeaders(bytes) ?? [])]).to.deep.equal([
      ["kv-ttl", ["1h"]],
      ["x", ["ü: 1", ""]],
    ]);
  });

  it("are none if there is only a status, and leave out lines that are no header", () => {
    const parse = (text: string): unknown => parseHeaders(Buffer.from(text));
    expect(parse("NATS/1.0 503 No Responders\r\n\r\n")).to.equal(undefined);
    expect(parse("NATS/1.0\r\nnonsense\r\n: nameless\r\n\r\n")).to.equal(undefined);
    expect(parse("NATS/1.0\r\na b:c\r\n\r\n")).to.deep.equal(new Map([["a b", ["c"]]]));
  });

  it("refuse names and values that would break their lines", () => {
    for (const header of [
      ["a:b", ""],
      ["a b", ""],
      ["", "x"],
      ["a", "x\ny"],
      ["a\r", "x"],
    ] as const) {
      expect(() => encodeHeaders([header]))
        .to.throw()
        .with.property("kind", "bad-request");
    }
  });
});
