/**
 * Which servers are refused without a password, and what a server asks for.
 */
import { expect } from "chai";
import { Refusal } from "../../../../infra/main/server/data-folder.js";
import { refuseOpenServer, serverCredentials } from "../../../../infra/main/server/open-server.js";
import { settingsOf } from "../../../../infra/settings/config.js";

describe("an open server", () => {
  const refuse = (env: NodeJS.ProcessEnv, isAllowed = false): void =>
    refuseOpenServer(settingsOf(env), isAllowed);

  it("is one that others reach and that has no password", () => {
    for (const RINGDEX_HOST of ["0.0.0.0", "10.0.0.7", "::", "db.example.org"]) {
      expect(() => refuse({ RINGDEX_HOST })).to.throw(Refusal, "--insecure");
      refuse({ RINGDEX_HOST }, true);
      refuse({ RINGDEX_HOST, RINGDEX_NATS_TOKEN: "t" });
      refuse({ RINGDEX_HOST, RINGDEX_NATS_USER: "u", RINGDEX_NATS_PASSWORD: "p" });
      refuse({ RINGDEX_HOST, RINGDEX_NATS_URL: "nats://10.0.0.8:4222" });
    }
  });

  it("is none that only this machine reaches", () => {
    for (const RINGDEX_HOST of ["127.0.0.1", "127.1.2.3", "localhost", "::1"]) {
      refuse({ RINGDEX_HOST });
    }
  });

  it("does not come of half a password", () => {
    const half = [{ RINGDEX_NATS_USER: "u" }, { RINGDEX_NATS_PASSWORD: "p" }];
    for (const env of half) {
      expect(() => serverCredentials(settingsOf(env))).to.throw(Refusal, "is missing");
    }
    expect(serverCredentials(settingsOf({ RINGDEX_NATS_TOKEN: "t" }))).to.deep.equal({
      token: "t",
    });
    expect(serverCredentials(settingsOf({}))).to.equal(undefined);
  });
});
