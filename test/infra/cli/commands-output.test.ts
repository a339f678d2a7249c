/**
 * What several commands have in common: values as their stored text, and waiting for their reader.
 */
import { expect } from "chai";
import { until } from "../../support/until.js";
import { publishEvent } from "../client/fake-store.js";
import { useCommandLine } from "./command-line.js";

describe("commands", function () {
  this.timeout(20_000);
  const cli = useCommandLine();

  const { run } = cli;

  describe("print stored text, in which no number is another one", () => {
    const value = '{"n":9007199254740993,"p":1.50,\n"z":-0,"list":[{"n":12345678901234567890}]}';
    const line = value.replace("\n", " ");

    it("find", async () => {
      const item = `{"key":"a","value":${value},"revision":3}`;
      cli.store.onJson = () => ` {"items":[${item}],"cursor":null,"complete":true}\n`;
      expect((await run(["find", "--json"])).out).to.equal(`${item.replace("\n", " ")}\n`);
      expect((await run(["find"])).out).to.contain(line);
      const selected = await run(["find", "--select", "n,p,z,list.n,list"]);
      expect(selected.out.split("\n")[1]?.split(/ +/)).to.deep.equal([
        "a",
        "9007199254740993",
        "1.50",
        "-0",
        "[12345678901234567890]",
        '[{"n":12345678901234567890}]',
      ]);
    });

    it("batch", async () => {
      const outcome = `{"key":"a","value":${value},"revision":3}`;
      answer("kv.batch", () => `{"outcomes":[${outcome}]}`);
      const stdin = '{"op":"get","key":"a"}';
      const { out } = await run(["batch", "--json"], { stdin });
      expect(out).to.equal(`${outcome.replace("\n", " ")}\n`);
      expect((await run(["batch"], { stdin })).out).to.equal(`a  3  value=${line}\n`);
    });

    it("watch", async () => {
      const manager = await cli.store.connection.jetstreamManager();
      await manager.streams.add({ name: "kv-events", subjects: ["kv.event.>", "kv.relay.>"] });
      try {
        await publishEvent(cli.store.connection, { op: "set", key: "a", revision: 1, text: value });
        const argumentList = ["watch", "--from", "beginning", "--count", "1"];
        const json = await run([...argumentList, "--json"]);
        expect(json.out).to.contain(`,"value":${line},"content_type":"application/json"}\n`);
        expect((await run(argumentList)).out).to.contain(line);
      } finally {
        await manager.streams.delete("kv-events");
      }
    });
  });

  it("wait for their reader before they ask for more", async () => {
    cli.store.onJson = (verb, { cursor }) => {
      const next = Number(cursor ?? 0) + 1;
      const more = next < 4 ? { cursor: String(next) } : {};
      return verb === "keys" ? { keys: ["a"], ...more } : { items: [{ key: "a" }], ...more };
    };
    for (const command of [["keys"], ["find", "--all", "--json"]]) {
      cli.store.jsonAsked.length = 0;
      let read: (() => void) | undefined;
      const onOut = (): Promise<void> => new Promise((resolve) => void (read = resolve));
      const ran = run(command, { onOut });
      for (let page = 1; page <= 4; page += 1) {
        await until(() => read !== undefined);
        await new Promise(setImmediate);
        const pages = cli.store.jsonAsked.filter(({ verb }) => verb === command[0]);
        expect(pages.length, command[0]).to.equal(page);
        const isRead = read;
        read = undefined;
        isRead?.();
      }
      expect((await ran).code).to.equal(0);
    }
  });

  function answer(subject: string, reply: () => string): void {
    cli.store.connection.subscribe(subject, { callback: (_, message) => message.respond(reply()) });
  }
});
