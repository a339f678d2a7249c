/**
 * NATS roles, as docs/security.md and docs/secure.nats.conf have them.
 */
import { expect } from "chai";
import { natsConf } from "../../../protocol/nats/nats-conf.js";
import { rolesOf } from "../../../protocol/nats/nats-roles.js";
import { page } from "../../docs/pages.js";
import { rightsTable } from "../../security/rights-table.js";
import { startSecureStore, type SecureStore } from "../../security/secure-store.js";

describe("nats roles", function () {
  let store: SecureStore;

  before(async () => {
    store = await startSecureStore();
  });

  after(async () => {
    await store.stop();
  });

  describe("in docs/security.md", () => {
    it("are those that nats.conf is printed for", () => {
      expect(Object.fromEntries(rightsTable())).to.deep.equal(rolesOf("kv"));
    });

    it("have docs/secure.nats.conf as it is printed", () => {
      const text = natsConf({ store: "kv", rolesTlsFolder: "./tls" });
      expect(page("docs/secure.nats.conf").text).to.equal(text);
    });
  });
});
