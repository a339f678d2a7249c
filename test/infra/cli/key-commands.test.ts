/**
 * Commands on one key: what they send, print and end with.
 */
import { Readable } from "node:stream";
import { expect } from "chai";
import { positionOf } from "../../../protocol/position.js";
import { useCommandLine } from "./command-line.js";
import { ok } from "./command-run.js";

describe("commands on one key", function () {
  const cli = useCommandLine();

  const { run } = cli;

  describe("set and get", () => {
    it("keep a value byte for byte, whether typed or from stdin", async () => {
      const text = '{ "n": 12345678901234567890 }';
      expect(await run(["set", "a", text])).to.deep.equal(ok("created at revision 1\n"));
      expect((await run(["get", "a"])).out).to.equal(text);
      expect(await run(["set", "a"], { stdin: "[1]\n" })).to.include({ code: 0 });
      expect((await run(["get", "a"])).out).to.equal("[1]\n");
    });

    it("tell what to do about a word that is not JSON, and set nothing", async () => {
      const { code, stderr } = await run(["set", "greeting", "hello"]);
      expect(code).to.equal(2);
      expect(stderr).to.match(/"hello" is not JSON.*'"hello"'.*--text\n$/);
      expect(stderr.trimEnd()).not.to.contain("\n");
      expect(cli.store.records.size).to.equal(0);
      expect(await run(["set", "greeting", "hello", "--text"])).to.include({ code: 0 });
      expect(cli.store.records.get("greeting")).to.include({ contentType: 2 });
    });

    it("tell who forgot the shell's quotes to put them, not to store text", async () => {
      const { code, stderr } = await run(["set", "a", "{n:1}"]);
      expect(code).to.equal(2);
      expect(stderr).to.contain(`single quotes: '{"a":1}'`).and.not.contain("--text");
      expect((await run(["set", "a", '{"n":1,}'])).stderr).to.match(/make it JSON, or pass --text/);
    });

    it("say that they wait for a person to type, and only then", async () => {
      const stdin = Object.assign(Readable.from([Buffer.from("1")]), { isTTY: true });
      const typed = await run(["set", "a"], { stdin });
      expect(typed.stderr).to.match(/^reading the value from the keyboard; Ctrl-D/);
      expect((await run(["set", "a"], { stdin: "1" })).stderr).to.equal("");
      expect((await run(["set", "a", "1"])).stderr).to.equal("");
    });

    it("set MessagePack from what is typed as JSON, and bytes from stdin", async () => {
      await run(["set", "m", '{"a":1}', "--content-type", "msgpack"]);
      expect([...(cli.store.records.get("m")?.value ?? [])]).to.deep.equal([0x81, 0xa1, 0x61, 1]);
      const stdin = new Uint8Array([0, 255]);
      await run(["set", "b", "-", "--content-type", "bytes"], { stdin });
      expect([...(cli.store.records.get("b")?.value ?? [])]).to.deep.equal([0, 255]);
    });

    it("give the whole record as JSON", async () => {
      await run(["set", "a", "12345678901234567890", "--ttl", "1h"]);
      const { out } = await run(["get", "a", "--json"]);
      expect(out).to.contain('"value":12345678901234567890,');
      expect(JSON.parse(out)).to.include({ key: "a", revision: 1, position: positionOf("a") });
      expect(cli.store.asked[0]?.body).to.include({ ttl: 3_600_000 });
    });

    it("show a terminal only what it will not obey", async () => {
      await run(["set", "a", "x\u001b[2Jy\nz", "--text"]);
      expect((await run(["get", "a"], { columns: 80 })).out).to.equal("x\\u001b[2Jy\nz\n");
      await run(["set", "b", "-", "--content-type", "bytes"], { stdin: "\u0000" });
      const { code, stderr } = await run(["get", "b"], { columns: 80 });
      expect(code).to.equal(2);
      expect(stderr).to.match(/1 bytes of application\/octet-stream.*--json/);
    });

    it("end with 1 for a missing key and 4 for a condition that is not met", async () => {
      const missing = await run(["get", "none"]);
      expect(missing).to.include({ code: 1, out: "", stderr: 'ringdex: there is no key "none"\n' });
      await run(["set", "a", "1"]);
      expect((await run(["set", "a", "2", "--create"])).code).to.equal(4);
      expect((await run(["set", "a", "2", "--if-revision", "7"])).code).to.equal(4);
      expect((await run(["set", "a", "2", "--if-revision", "1"])).out).to.equal(
        "replaced at revision 2\n",
      );
    });
  });

  it("incr adds, also less than nothing, and prints the number", async () => {
    expect(await run(["incr", "n", "5"])).to.deep.equal(ok("5\n"));
    expect(await run(["incr", "n", "-7"])).to.deep.equal(ok("-2\n"));
    expect(await run(["incr", "n"])).to.deep.equal(ok("-1\n"));
    await run(["incr", "n", "1", "--path", "stock.x"]);
    expect(cli.store.asked.at(-1)?.body).to.include({ path: "stock.x", by: 1 });
  });

  it("del tells whether something was there, and takes both for done", async () => {
    await run(["set", "a", "1"]);
    expect(await run(["del", "a"])).to.deep.equal(ok("deleted\n"));
    expect(await run(["del", "a"])).to.deep.equal(ok("was not there\n"));
    const { out } = await run(["del", "a", "--json"]);
    expect(JSON.parse(out)).to.deep.include({ key: "a", revision: null, existed: false });
  });

  it("patch and touch send what was typed", async () => {
    await run(["patch", "a", '{"b":null}', "--ttl", "90"]);
    expect(cli.store.asked[0]?.body).to.include({ key: "a", ttl: 90_000 });
    expect(Buffer.from(cli.store.asked[0]?.body["value"] as Uint8Array).toString()).to.equal(
      '{"b":null}',
    );
    await run(["touch", "a", "--ttl", "never"]);
    expect(cli.store.asked[1]).to.deep.include({ verb: "touch" });
  });
});
