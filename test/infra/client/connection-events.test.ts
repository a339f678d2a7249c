/**
 * What a client tells of its connection, against a server that is killed and comes back.
 */
import { expect } from "chai";
import { connect as connectNats } from "nats";
import { connect, type ConnectionEvent, type Ringdex } from "../../../infra/client/client.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";

describe("connection events", function () {
  this.timeout(30_000);
  let server: TestServer;
  let db: Ringdex;

  beforeEach(async () => {
    server = await startTestServer();
    db = await connect({ servers: server.url, attemptTimeoutMs: 100 });
  });
  afterEach(async () => {
    await db.close();
    await server.stop();
  });

  /** The states as they come; the promise ends with the iteration. */
  function read(seen: ConnectionEvent[]): Promise<void> {
    return (async () => {
      for await (const event of db.status()) seen.push(event);
    })();
  }

  const statesOf = (seen: readonly ConnectionEvent[]): string[] => seen.map(({ state }) => state);

  it("tell the present state and each change, attempts to reconnect once", async () => {
    const seen: ConnectionEvent[] = [];
    const reading = read(seen);
    await until(() => seen.length === 1);
    expect(seen).to.deep.equal([{ state: "connected", server: `127.0.0.1:${server.port}` }]);
    await server.kill();
    await until(() => seen.at(-1)?.state === "reconnecting");
    await server.restart();
    await until(() => seen.at(-1)?.state === "connected");
    await db.close();
    await reading;
    expect(statesOf(seen)).to.deep.equal([
      "connected",
      "disconnected",
      "reconnecting",
      "connected",
      "closed",
    ]);
  });

  it("begin with the present state for each reader", async () => {
    await db.close();
    const seen: ConnectionEvent[] = [];
    await read(seen);
    expect(seen).to.deep.equal([{ state: "closed" }]);
  });

  it("end with close() also where the connection is borrowed and stays open", async () => {
    const connection = await connectNats({ servers: server.url });
    const borrowed = await connect({ connection, attemptTimeoutMs: 100 });
    const states: string[] = [];
    for await (const { state } of borrowed.status()) {
      states.push(state);
      if (state === "connected") await borrowed.close();
    }
    expect(states).to.deep.equal(["connected", "closed"]);
    expect(connection.isClosed()).to.equal(false);
    await connection.close();
  });

  it("end with the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const reading = (async () => {
      for await (const _ of db.status({ signal: controller.signal })) controller.abort(reason);
    })();
    expect(await failure(reading)).to.equal(reason);
  });
});
