/**
 * watch at the command line.
 */
import { expect } from "chai";
import { publishEvent } from "../client/fake-store.js";
import { useCommandLine } from "./command-line.js";

describe("watch command", function () {
  const cli = useCommandLine();

  const { run } = cli;

  describe("watch", () => {
    beforeEach(async () => {
      const manager = await cli.store.connection.jetstreamManager();
      await manager.streams.add({ name: "kv-events", subjects: ["kv.event.>", "kv.relay.>"] });
    });
    afterEach(async () => {
      const manager = await cli.store.connection.jetstreamManager();
      await manager.streams.delete("kv-events");
    });

    it("prints a line for each change from the beginning, cut to the terminal", async () => {
      const value = { text: "x".repeat(99) };
      await publishEvent(cli.store.connection, { op: "set", key: "a.b", revision: 1, value });
      await publishEvent(cli.store.connection, { op: "del", key: "a.b", revision: 2 });
      const argumentList = ["watch", "--from", "beginning", "--count", "2"];
      const { out, stderr, code } = await run(argumentList, { columns: 40 });
      expect(code).to.equal(0);
      expect(out.split("\n")).to.deep.equal([
        'set     a.b              1  {"text":"xx…',
        "del     a.b              2",
        "",
      ]);
      expect(stderr).to.equal("watching from beginning; Ctrl-C ends it\n");
    });

    it("ends when it is told to, as if all were said", async () => {
      const stopping = new AbortController();
      await publishEvent(cli.store.connection, { op: "del", key: "a", revision: 1 });
      const { code, out } = await run(["watch", "--from", "1h", "--json"], {
        stopping: stopping.signal,
        onOut: () => stopping.abort(),
      });
      expect(code).to.equal(0);
      expect(JSON.parse(out)).to.include({ op: "del", key: "a", revision: 1 });
    });

    it("refuses a start that is none", async () => {
      expect((await run(["watch", "--from", "yesterday"])).stderr).to.match(
        /must be now, beginning/,
      );
    });
  });
});
