/**
 * del --prefix and --where: counted and asked first, and what has changed meanwhile is left.
 */
import { Readable } from "node:stream";
import { expect } from "chai";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "../client/fake-store.js";
import { runCommand, type Run, type RunOptions } from "./command-run.js";

describe("del of many keys", function () {
  this.timeout(20_000);
  let server: TestServer;
  let store: FakeStore;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());
  beforeEach(async () => {
    store = await FakeStore.start(server.url);
    for (const key of ["a.1", "a.2", "b"]) {
      store.records.set(key, { value: Buffer.from("1"), contentType: 0, revision: 5 });
    }
    store.onJson = (verb, body) => {
      const { $key } = (body["where"] ?? {}) as { readonly $key?: { readonly $prefix: string } };
      const found = [...store.records].filter(([key]) => key.startsWith($key?.$prefix ?? ""));
      if (verb === "count") return { count: found.length };
      // The first page has one, so that there is a second.
      const at = body["cursor"] === undefined ? 0 : 1;
      const list = at === 0 ? found.slice(0, 1) : found;
      const items = list.map(([key, { revision }]) => ({ key, revision }));
      return { items, ...(at === 0 ? { cursor: "c" } : {}) };
    };
  });
  afterEach(() => store.stop());

  const run = (argumentList: readonly string[], options?: RunOptions): Promise<Run> =>
    runCommand(server.url, ["del", ...argumentList], options);
  const typing = (text: string): RunOptions => ({
    stdin: Object.assign(Readable.from([Buffer.from(text)]), { isTTY: true }),
  });

  it("tells a script how many they are, and does nothing without --yes", async () => {
    const { code, stderr } = await run(["--prefix", "a."]);
    expect(stderr).to.equal(
      'ringdex: this would delete 2 keys that begin with "a."; add --yes to do it\n',
    );
    expect(code).to.equal(2);
    expect(store.records.size).to.equal(3);
  });

  it("deletes page by page with --yes, whatever the revisions", async () => {
    store.onOperation = ({ body }) => {
      expect(body).not.to.have.property("if_revision");
      return "done";
    };
    const { code, out, stderr } = await run(["--prefix", "a.", "--yes"]);
    expect({ code, out, stderr }).to.deep.equal({ code: 0, out: "deleted 2\n", stderr: "" });
    expect([...store.records.keys()]).to.deep.equal(["b"]);
  });

  it("asks a person, and takes only yes for yes", async () => {
    for (const text of ["y\n", "no\n", ""]) {
      const { code, stderr } = await run(["--prefix", "a."], typing(text));
      expect(code).to.equal(1);
      expect(stderr).to.match(/^delete 2 keys that begin with "a\."\? Type yes: .*nothing was/);
    }
    expect(store.records.size).to.equal(3);
    expect(await run(["--where", "{}", "--json"], typing("yes\n"))).to.include({
      code: 0,
      out: '{"deleted":3,"changed":0}\n',
      stderr: "delete ALL 3 keys of the store? Type yes: ",
    });
  });

  it("leaves what has changed since --where found it", async () => {
    store.onOperation = ({ body }) => {
      const record = store.records.get(String(body["key"]));
      if (body["key"] === "a.2" && record !== undefined) record.revision = 6;
      return "done";
    };
    const { code, out } = await run(["--where", '{"n":1}', "--yes"]);
    expect(out).to.equal("deleted 2, 1 left as they have changed meanwhile\n");
    expect(code).to.equal(7);
    expect([...store.records.keys()]).to.deep.equal(["a.2"]);
  });

  it("takes one of KEY, --prefix and --where, and advises on a wildcard", async () => {
    for (const wrong of [["a", "--prefix", "a"], ["--prefix", "a", "--where", "{}"], []]) {
      expect((await run(wrong)).code).to.equal(2);
    }
    expect((await run(["--prefix", "a", "--if-revision", "1"])).code).to.equal(2);
    const { stderr } = await run(["--prefix", "a.*", "--yes"]);
    expect(stderr).to.equal('a prefix is text: only keys that begin with "a.*"; or is it "a."?\n');
  });
});
