/**
 * What a store says of itself, and how long it takes to say so, against a fake store.
 */
import { expect } from "chai";
import { connect, isUnavailable, type Ringdex } from "../../../infra/client/client.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { errorBody, FakeStore } from "./fake-store.js";

describe("a store's info", function () {
  this.timeout(20_000);
  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
    store = await FakeStore.start(server.url);
    db = await connect({ servers: server.url, attemptTimeoutMs: 100 });
  });
  after(async () => {
    await db.close();
    await store.stop();
    await server.stop();
  });

  it("is told in the client's words", async () => {
    const same = {
      store: "kv",
      version: "1.2.3",
      operators: ["$eq"],
      limits: { KEY_BYTES_MAX: 9 },
    };
    store.onJson = () => ({ type: "t", ...same, behaviour_version: 7, position_count: 64 });
    expect(await db.info()).to.deep.equal({ ...same, behaviourVersion: 7, positionCount: 64 });
  });

  it("is what a ping waits for, and asks for again", async () => {
    const replies = [errorBody("unavailable", 503)];
    store.onJson = () => replies.shift() ?? {};
    store.jsonAsked.length = 0;
    expect(await db.ping()).to.be.greaterThan(0);
    expect(store.jsonAsked.map(({ verb }) => verb)).to.deep.equal(["info", "info"]);
    store.onJson = () => errorBody("unavailable", 503);
    expect(isUnavailable(await failure(db.ping({ timeoutMs: 100 })))).to.equal(true);
  });
});
