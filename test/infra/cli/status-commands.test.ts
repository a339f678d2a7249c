/**
 * status and ring at the command line.
 */
import { expect } from "chai";
import type { Msg } from "nats";
import type { Body } from "../client/fake-store.js";
import { useCommandLine } from "./command-line.js";

describe("status commands", function () {
  const cli = useCommandLine();

  const { run } = cli;

  describe("status and ring", () => {
    it("status shows nodes, replicas and warnings", async () => {
      answer("kv.status", () => status);
      const { code, out } = await run(["status"], { columns: 100 });
      expect(code).to.equal(0);
      expect(out).to.equal(
        [
          "store kv, epoch 1; log sync always, 1 copy of each log",
          "",
          "node  pid  state  version",
          "n1      7  up     0.1.0",
          "n2         down",
          "",
          "shard  node  home  state    positions  applied  last  lag  keys    bytes",
          "s1     n1    home  serving        512       41    42    1   900  1.5 KiB",
          "",
          "warning: node n2 does not answer",
          "",
        ].join("\n"),
      );
      expect(JSON.parse((await run(["status", "--json"])).out)).to.deep.equal(status);
    });

    it("status shows no figures of a replica that is loading", async () => {
      const loading = { ...status.replicas[0], state: "loading" };
      answer("kv.status", () => ({ ...status, replicas: [loading] }));
      const { out } = await run(["status"], { columns: 80 });
      expect(out).to.match(/^s1 +n1 +home +loading( +-){6}$/m);
    });

    it("status --check ends with a code for how bad it is", async () => {
      const replica = status.replicas[0];
      const two = { ...replica, shard: "s2", node: "n1" };
      const well = {
        ...status,
        nodes: [status.nodes[0]],
        replicas: [replica, two],
        warnings: [] as string[],
      };
      const cases: [object, number][] = [
        [well, 0],
        [{ ...well, warnings: ["something"] }, 9],
        [{ ...well, nodes: status.nodes }, 9],
        [{ ...well, replicas: [replica, two, { ...two, node: "n2", state: "loading" }] }, 9],
        [{ ...well, replicas: [replica, { ...two, state: "stopped" }] }, 10],
        [{ ...well, replicas: [replica] }, 10],
      ];
      let body: object = {};
      answer("kv.status", () => body);
      for (const [report, expected] of cases) {
        body = report;
        expect((await run(["status", "--check"])).code, JSON.stringify(report)).to.equal(expected);
        expect((await run(["status", "--check", "--json"])).code).to.equal(expected);
        expect((await run(["status"])).code).to.equal(0);
      }
    });

    it("ping says that a node answers, and how fast", async () => {
      const { code, out } = await run(["ping"]);
      expect(code).to.equal(0);
      expect(out).to.match(/^store "kv" at nats:\S+ answers in [\d.]+ ms\n$/);
      const told = JSON.parse((await run(["ping", "--json"])).out) as Body;
      expect(told).to.include({ store: "kv", server: cli.server.url }).and.have.property("ms");
    });

    it("ring shows shards with their positions", async () => {
      const { out } = await run(["ring"]);
      expect(out).to.contain("store kv, epoch 1, 1024 positions");
      expect(out).to.match(/^s2 +n1 +1 +512 +512-1023$/m);
      expect(JSON.parse((await run(["ring", "--json"])).out)).to.deep.equal(cli.store.ring);
    });
  });

  const status = {
    type: "io.ringdex.v1.status_response",
    store: "kv",
    epoch: 1,
    durability: { sync_interval: "always", log_replicas: 1 },
    nodes: [
      { node: "n1", pid: 7, state: "up", version: "0.1.0" },
      { node: "n2", pid: null, state: "down", version: null },
    ],
    replicas: [
      {
        shard: "s1",
        node: "n1",
        state: "serving",
        positions: 512,
        sequence_applied: 41,
        sequence_last: 42,
        lag: 1,
        keys: 900,
        bytes: 1_536,
      },
    ],
    warnings: ["node n2 does not answer"],
  };

  function answer(subject: string, reply: (message: Msg) => unknown): void {
    cli.store.connection.subscribe(subject, {
      callback: (_, message) => message.respond(JSON.stringify(reply(message))),
    });
  }
});
