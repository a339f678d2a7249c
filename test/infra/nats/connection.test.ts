/**
 * Connection: what nats.js is told for a URL, credentials and a name, and what a failure is called.
 * credentials.test.ts tries each kind of credentials at a server.
 */
import { expect } from "chai";
import {
  connectionOptions,
  openConnection,
  reconnectForEver,
} from "../../../infra/nats/connection.js";
import type { KvError } from "../../../protocol/errors.js";
import { failure } from "../../support/failure.js";

describe("connection", () => {
  it("goes to each server of the URL, with or without a scheme", () => {
    const { servers, name, tls } = connectionOptions({ url: "nats://a:1, b:2,[::1]:3", name: "n" });
    expect(servers).to.deep.equal(["a:1", "b:2", "[::1]:3"]);
    expect(name).to.equal("n");
    expect(tls).to.equal(undefined);
  });

  it("uses TLS if one of the servers is named with tls://", () => {
    expect(connectionOptions({ url: "nats://a:1,tls://b:2", name: "n" }).tls).to.deep.equal({});
    const options = { tls: { caFile: "ca.pem" } };
    const told = connectionOptions({ url: "tls://a:1", name: "n", options });
    expect(told.tls).to.deep.equal({ caFile: "ca.pem" });
  });

  it("takes credentials of the URL, and named ones in their place", () => {
    const url = "nats://ann:s3cret@a:1";
    expect(connectionOptions({ url, name: "n" })).to.include({ user: "ann", pass: "s3cret" });
    const credentials = { user: undefined, password: "other" };
    const told = connectionOptions({ url, name: "n", credentials });
    expect(told).to.include({ user: "ann", pass: "other", inboxPrefix: "_INBOX.ann" });
  });

  it("leaves to its caller how long it waits and whether it reconnects", () => {
    const options = { ...reconnectForEver, timeout: 17 };
    const told = connectionOptions({ url: "a:1", name: "n", options });
    expect(told).to.include({ timeout: 17, maxReconnectAttempts: -1 });
    expect(connectionOptions({ url: "a:1", name: "n" })).not.to.have.any.keys("timeout");
  });

  it("says that no server can be reached, and not with what credentials", async () => {
    const error = (await failure(
      openConnection({ url: "nats://ann:s3cret@127.0.0.1:1", name: "n" }),
    )) as KvError;
    expect(error).to.include({ kind: "unavailable", retryable: true });
    expect(error.message).to.contain("nats-server at nats://127.0.0.1:1 (");
    expect(error.message).not.to.contain("s3cret");
    expect(error.cause).to.be.instanceOf(Error);
  });

  it("says what to mend where another attempt would fail the same way", async () => {
    const credentials = { user: "ann", token: "s3cret" };
    const error = (await failure(
      openConnection({ url: "127.0.0.1:1", name: "n", credentials }),
    )) as KvError;
    expect(error).to.include({ kind: "bad-request", retryable: false });
    expect(error.message).to.contain("give only one kind of credentials; received user and token");
  });
});
