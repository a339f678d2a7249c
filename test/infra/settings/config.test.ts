/**
 * Settings from variables and flags.
 */
import { expect } from "chai";
import {
  formatBytes,
  nodeArguments,
  SettingError,
  settingsOf,
  settingsTable,
} from "../../../infra/settings/config.js";

describe("settings", () => {
  it("have the table's defaults when nothing is asked", () => {
    const settings = settingsOf({});
    expect(settings).to.deep.equal({
      host: "127.0.0.1",
      port: 4222,
      dataFolder: "./data",
      nodeCount: 3,
      replicaCount: 2,
      store: "kv",
      syncInterval: "unknown",
      natsUrl: undefined,
      natsServer: undefined,
      natsUser: undefined,
      natsPassword: undefined,
      natsToken: undefined,
      natsNkey: undefined,
      natsCreds: undefined,
      natsTlsCa: undefined,
      natsTlsCert: undefined,
      natsTlsKey: undefined,
      natsInboxPrefix: undefined,
      natsDomain: undefined,
      logLevel: "info",
      logOutput: "file",
      logBytesMax: 8 * 1_024 ** 3,
      eventsBytesMax: 1_024 ** 3,
      indexExclude: [],
      asked: new Set(),
    });
  });

  it("take a flag before its variable, and an empty variable as not set", () => {
    const env = { RINGDEX_PORT: "5000", RINGDEX_NODES: "", RINGDEX_INDEX_EXCLUDE: "a.b, c" };
    const settings = settingsOf(env, { port: "6000" });
    expect(settings.port).to.equal(6000);
    expect(settings.nodeCount).to.equal(3);
    expect(settings.indexExclude).to.deep.equal(["a.b", "c"]);
    expect([...settings.asked]).to.deep.equal(["port", "indexExclude"]);
  });

  const refused: [string, string, RegExp][] = [
    ["RINGDEX_PORT", "65536", /RINGDEX_PORT is "65536"; it must be 0 … 65535/],
    ["RINGDEX_PORT", "1e3", /RINGDEX_PORT is "1e3"/],
    ["RINGDEX_NODES", "0", /RINGDEX_NODES is "0"; it must be 1 … 64/],
    ["RINGDEX_STORE", "a.b", /RINGDEX_STORE is "a\.b"; it must be 1 … 32 letters/],
    ["RINGDEX_NATS_URL", "http://here", /nats:\/\/host:port, or host:port/],
    ["RINGDEX_NATS_URL", "localhost:port", /nats:\/\/host:port/],
    ["RINGDEX_LOG_LEVEL", "loud", /it must be error, info, debug/],
    ["RINGDEX_LOG_BYTES_MAX", "12", /it must be 1MiB … 1PiB/],
    ["RINGDEX_SYNC_INTERVAL", "sometimes", /it must be always, a duration such as 2m/],
    ["RINGDEX_INDEX_EXCLUDE", "a,,b", /attribute paths/],
  ];
  for (const [variable, text, reason] of refused) {
    it(`refuse ${variable}=${text}, saying what is allowed`, () => {
      expect(() => settingsOf({ [variable]: text })).to.throw(SettingError, reason);
    });
  }

  it("take a bare host, with or without a port, for a NATS server", () => {
    for (const host of ["localhost", "localhost:4223", "10.0.0.7:4222", "[::1]:4222"]) {
      expect(settingsOf({ RINGDEX_NATS_URL: host }).natsUrl).to.equal(`nats://${host}`);
    }
    const url = "tls://nats.example:4222";
    expect(settingsOf({ RINGDEX_NATS_URL: url }).natsUrl).to.equal(url);
  });

  it("name the flag when the flag is wrong", () => {
    expect(() => settingsOf({}, { port: "x" })).to.throw(SettingError, '--port is "x"');
    expect(() => settingsOf({}, { dataFolder: "" })).to.throw(SettingError, '--data is ""');
  });

  it("are each in the table once, with a default that is allowed", () => {
    const variables = settingsTable.map(({ variable }) => variable);
    expect(new Set(variables).size).to.equal(variables.length);
    for (const setting of settingsTable) {
      if (setting.default !== "") expect(setting.parse(setting.default)).to.not.equal(undefined);
    }
  });

  it("read sizes in any unit and write the largest that divides them", () => {
    const bytes = (text: string): number => settingsOf({ RINGDEX_LOG_BYTES_MAX: text }).logBytesMax;
    expect([bytes("1048576"), bytes("3MiB"), bytes("2 GB"), bytes("2g")]).to.deep.equal([
      1_048_576, 3_145_728, 2_147_483_648, 2_147_483_648,
    ]);
    expect([formatBytes(1_536), formatBytes(3 * 1_024 ** 3)]).to.deep.equal(["1536", "3GiB"]);
  });

  it("reach a node as the arguments of node start", () => {
    const { store, replicaCount, logLevel, logBytesMax, eventsBytesMax } = settingsOf({});
    const argumentList = nodeArguments({
      name: "n1",
      dataFolder: "/d/n1",
      natsUrl: "nats://h:1",
      clusterNodes: ["n1", "n2"],
      store,
      replicaCount,
      logLevel,
      logBytesMax,
      eventsBytesMax,
      syncInterval: "always",
      indexExclude: ["a", "b"],
    });
    expect(argumentList.join(" ")).to.equal(
      "--name n1 --data /d/n1 --nats-url nats://h:1 --store kv --cluster-nodes n1,n2 " +
        "--replicas 2 --log-level info --log-bytes-max 8589934592 " +
        "--events-bytes-max 1073741824 --sync-interval always --index-exclude a,b",
    );
  });
});
