/**
 * What nodes log: JSON lines in a file each, and over NATS at info and above.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { useSharedCluster } from "../support/shared-cluster.js";
import { until } from "../support/until.js";

const WAIT_MS = 60_000;

interface Line {
  readonly subject: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

describe("logs of a cluster", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();

  it("arrive on the node's subject for their level while it starts again", async () => {
    const { cluster, nats } = shared;
    const lines: Line[] = [];
    const subscription = nats.subscribe("kv.node.*.log.*", {
      callback: (_error, message) => {
        lines.push({ subject: message.subject, fields: message.json() });
      },
    });
    await nats.flush();
    await cluster.kill("n3", "SIGTERM");
    const serves = ({ fields }: Line): boolean =>
      fields["node"] === "n3" && fields["message"] === "the node serves";
    await until(() => lines.some(serves), WAIT_MS, "n3 to say that it serves");
    await cluster.settled();
    subscription.unsubscribe();

    for (const { subject, fields } of lines) {
      const { node, level, message, time } = fields;
      expect(subject).to.equal(`kv.node.${String(node)}.log.${String(level)}`);
      expect(level).to.be.oneOf(["error", "info"]);
      expect(message).to.be.a("string").that.is.not.equal("");
      expect(time).to.match(/^\d{4}-\d\d-\d\dT.*Z$/);
    }
    const stops = lines.filter(({ fields }) => fields["message"] === "the node stops");
    expect(stops.map(({ fields }) => [fields["node"], fields["reason"]])).to.deep.equal([
      ["n3", "SIGTERM"],
    ]);
  });

  it("stand in each node's file, one JSON object a line, without anybody's values", async () => {
    const { cluster, db } = shared;
    await db.set("logs.private", "a value that is nobody's business");
    await db.set("logs.private", "no", { ifRevision: 99 }).catch(() => undefined);
    for (const name of ["n1", "n2", "n3"]) {
      const file = join(dataPaths(cluster.dataFolder).node(name), "node.log");
      const text = readFileSync(file, "utf8");
      expect(text.endsWith("\n")).to.equal(true);
      const lines = text.trimEnd().split("\n");
      const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(parsed.every(({ node }) => node === name)).to.equal(true);
      expect(parsed.map(({ message }) => message)).to.include("the node serves");
      expect(parsed.filter(({ level }) => level === "error")).to.deep.equal([]);
      expect(text).to.not.contain("nobody's business");
    }
    await db.del("logs.private");
  });
});
