/**
 * The printed nats.conf and its mappings; position-mapping.test.ts shows them to a real server.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { mappingsOf, natsConf } from "../../../protocol/nats/nats-conf.js";

describe("mappings", () => {
  it("are one for each verb and number of tokens, none twice", () => {
    const mappings = mappingsOf("kv");
    expect(mappings.length).to.equal(48);
    expect(new Set(mappings.map(({ source }) => source)).size).to.equal(48);
    expect(mappings).to.deep.include({
      source: "kv.get.*.*",
      destination: "kv.ring.{{partition(1024,1,2)}}.get.{{wildcard(1)}}.{{wildcard(2)}}",
    });
  });

  it("have the store's name and position count", () => {
    const mapping = mappingsOf("geo", 64).find(({ source }) => source === "geo.set.*");
    expect(mapping?.destination).to.equal("geo.ring.{{partition(64,1)}}.set.{{wildcard(1)}}");
  });
});

describe("nats.conf", () => {
  it("has the settings that durability and failure detection rest on", () => {
    const text = natsConf({ store: "kv" });
    for (const line of [
      'listen: "127.0.0.1:4222"',
      "max_payload: 1048576",
      'ping_interval: "2s"',
      "ping_max: 2",
      "  sync_interval: always",
    ]) {
      expect(text.split("\n")).to.include(line);
    }
    expect(text).not.to.contain("pid_file");
  });

  it("has every mapping on a line", () => {
    const text = natsConf({ store: "kv", positionCount: 64 });
    for (const { source, destination } of mappingsOf("kv", 64)) {
      expect(text).to.contain(`\n  "${source}": "${destination}"\n`);
    }
  });

  it("escapes what folders may have in their names", () => {
    const text = natsConf({ store: "kv", dataFolder: 'C:\\a "b"', pidFile: "/p" });
    expect(text).to.contain('store_dir: "C:\\\\a \\"b\\""');
    expect(text).to.contain('pid_file: "/p"');
  });

  it("refuses what cannot be written into it", () => {
    for (const options of [
      { store: "a.b" },
      { store: "kv", positionCount: 0 },
      { store: "kv", positionCount: 1.5 },
      { store: "kv", port: 65_536 },
      { store: "kv", dataFolder: "a\nb" },
      { store: "kv", payloadBytesMax: 1_024 },
    ]) {
      expect(() => natsConf(options), JSON.stringify(options)).to.throw(KvError);
    }
  });
});
