/**
 * Session: reads never go back behind what was seen.
 */
import { expect } from "chai";
import { connect, type Ringdex } from "../../../infra/client/client.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "./fake-store.js";

describe("session", function () {
  this.timeout(20_000);
  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
    store = await FakeStore.start(server.url);
    db = await connect({ servers: server.url });
  });
  after(async () => {
    await db.close();
    await store.stop();
    await server.stop();
  });

  it("reads with the highest revision that it has written or read in the position", async () => {
    const session = db.session();
    await session.get("{t}1");
    await session.set("{t}1", 1);
    await session.set("{t}2", 1);
    await session.get("{t}1");
    await session.get("elsewhere");
    const gets = store.asked.filter(({ verb }) => verb === "get").map(({ body }) => body);
    expect(gets.map((body) => body["read"])).to.deep.equal(["session", "session", "session"]);
    expect(gets.map((body) => body["min_revision"])).to.deep.equal([undefined, 2, undefined]);
  });

  it("learns from reads, and shares nothing with others", async () => {
    store.asked.length = 0;
    const reader = db.session();
    await reader.get("{t}2");
    await reader.getMany(["{t}1"]);
    await db.session().get("{t}2");
    await db.get("{t}2");
    const told = store.asked.map(({ body }) => [body["read"], body["min_revision"]]);
    expect(told.map(([, revision]) => revision)).to.deep.equal([
      undefined,
      2,
      undefined,
      undefined,
    ]);
    expect(told[3]?.[0]).to.equal(undefined);
  });
});
