/**
 * What a node's folder says about whose it is, and what a node refuses because of it.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { claimFolder, NodeRefused, refuseOtherRing } from "../../../infra/main/node-identity.js";
import { smallRing } from "../../support/small-ring.js";

describe("a node's folder", () => {
  let root: string;
  let folder: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "ringdex-identity-"));
    folder = join(root, "nodes", "n1");
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });

  it("is made and claimed by the first node, which may come back", async () => {
    await claimFolder(folder, "n1", "kv");
    const file = readFileSync(join(folder, "node.json"), "utf8");
    expect(JSON.parse(file)).to.deep.equal({ format: 1, name: "n1", store: "kv" });
    await claimFolder(folder, "n1", "kv");
    expect(readFileSync(join(folder, "node.json"), "utf8")).to.equal(file);
  });

  for (const [name, store] of [
    ["n2", "kv"],
    ["n1", "other"],
  ] as const) {
    it(`refuses node ${name} of store ${store} once it is n1's of kv`, async () => {
      await claimFolder(folder, "n1", "kv");
      const { message } = await refusal(claimFolder(folder, name, store));
      expect(message).to.contain("belongs to node n1 of store kv");
      expect(message).to.contain(`not to ${name} of ${store}`);
    });
  }

  it("refuses another format, and names both", async () => {
    write('{"format":7,"name":"n1","store":"kv"}');
    const { message } = await refusal(claimFolder(folder, "n1", "kv"));
    expect(message).to.contain("has format 7, this version reads 1");
  });

  for (const text of ["", "{", "null", "7", "[]", '{"format":1}', '{"format":1,"name":"n1"}']) {
    it(`says what to do when node.json is ${JSON.stringify(text)}`, async () => {
      write(text);
      const { message } = await refusal(claimFolder(folder, "n1", "kv"));
      expect(message).to.match(/node\.json is damaged: .*remove that file/);
    });
  }

  it("refuses a ring that knows none of its stores", async () => {
    const ring = smallRing([0], [1]);
    await refuseOtherRing(folder, undefined);
    await refuseOtherRing(folder, ring);
    makeStore(`s1-${ring.shards[0]!.logId}`);
    await refuseOtherRing(folder, ring);
    expect((await refusal(refuseOtherRing(folder, undefined))).message).to.contain("no ring");
    makeStore("s1-00000000000000ff");
    await refuseOtherRing(folder, ring);
    rmSync(join(folder, "stores", `s1-${ring.shards[0]!.logId}`), { recursive: true });
    expect((await refusal(refuseOtherRing(folder, ring))).message).to.contain("another ring");
  });

  function makeStore(name: string): void {
    mkdirSync(join(folder, "stores", name), { recursive: true });
    writeFileSync(join(folder, "stores", name, "CURRENT"), "");
  }

  function write(text: string): void {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "node.json"), text);
  }
});

async function refusal(promise: Promise<void>): Promise<NodeRefused> {
  const error = await promise.then(
    () => "was taken",
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(NodeRefused);
  return error as NodeRefused;
}
