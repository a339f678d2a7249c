/**
 * Inbox: where a connection has its replies come to.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { connect, KvError } from "../../../infra/client/client.js";
import { inboxPrefixOf } from "../../../infra/nats/credentials.js";
import { settingsOf } from "../../../infra/settings/config.js";
import { makeCertificates } from "../../security/certificates.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";

describe("inbox", function () {
  let folder: string;
  let server: TestServer | undefined;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-credentials-"));
    makeCertificates(join(folder, "tls"));
    makeCertificates(join(folder, "other-tls"));
  });

  afterEach(async () => {
    await server?.stop();
    server = undefined;
  });

  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const serve = async (config: string): Promise<TestServer> => {
    server = await startTestServer({ config, mapping: false });
    return server;
  };

  it("give a user an inbox of its own, unless another is named", () => {
    expect(inboxPrefixOf({ user: "ann" })).to.equal("_INBOX.ann");
    expect(inboxPrefixOf({ user: "ann", inboxPrefix: "in.box" })).to.equal("in.box");
    expect(inboxPrefixOf({ user: "a.b" })).to.equal(undefined);
    expect(inboxPrefixOf({})).to.equal(undefined);
    expect(() => settingsOf({ RINGDEX_NATS_INBOX_PREFIX: "a.>" })).to.throw(/INBOX_PREFIX/);
  });

  it("without a right to their inbox fail at the first request, saying what to set", async () => {
    const { url } = await serve(
      `authorization { users: [ { user: ann, password: p, permissions: {
        publish: ">", subscribe: "_INBOX.mine.>" } } ] }`,
    );
    const db = await connect({ servers: url, user: "ann", pass: "p" });
    const error = await db.get("key").then(
      () => undefined,
      (thrown: unknown) => thrown as KvError,
    );
    expect(error?.message).to.match(/not permitted to subscribe to its inbox _INBOX\.ann.*PREFIX/);
    await db.close();
    const own = await connect({
      servers: url,
      user: "ann",
      pass: "p",
      inboxPrefix: "_INBOX.mine",
      timeoutMs: 1_000,
    });
    const nobody = await own.get("key").then(
      () => undefined,
      (thrown: unknown) => thrown as KvError,
    );
    expect(nobody?.kind).to.equal("unavailable");
    await own.close();
  });
});
