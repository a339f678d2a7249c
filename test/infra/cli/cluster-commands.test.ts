/**
 * The command line itself, and the commands that need no running cluster.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { exitCodes } from "../../../infra/cli/exit-codes.js";
import { runCli } from "../../../infra/cli/program.js";
import { packageFolder } from "../../../infra/files/package-version.js";
import { settingsTable } from "../../../infra/settings/config.js";

describe("command line", () => {
  it("prints for nats-conf what stands in nats.conf", async () => {
    const { code, out } = await run(["nats-conf"]);
    expect(code).to.equal(0);
    expect(out).to.equal(readFileSync(join(packageFolder(), "nats.conf"), "utf8"));
  });

  it("prints nats-conf for another store, ring and port", async () => {
    const options = ["--store", "shop", "--positions", "16", "--port", "5000"];
    const { out } = await run(["nats-conf", ...options]);
    expect(out).to.contain('"shop.get.*": "shop.ring.{{partition(16,1)}}.get.{{wildcard(1)}}"');
    expect(out).to.contain("127.0.0.1:5000").and.not.contain('"kv.');
  });

  it("lists every setting in the help of up, and every exit code in its own", async () => {
    const { code, out } = await run(["up", "--help"]);
    expect(code).to.equal(0);
    for (const { flag, variable } of settingsTable) {
      if (flag !== undefined) expect(out).to.contain(`--${flag} `);
      expect(out).to.contain(variable);
    }
    const help = (await run(["--help"])).out;
    for (const { code: number, about } of Object.values(exitCodes)) {
      expect(help).to.contain(`  ${number}  ${about}`);
    }
  });

  it("has help for every command", async () => {
    for (const command of [["down"], ["node"], ["node", "start"], ["nats-conf"], ["nats-server"]]) {
      const { code, out } = await run([...command, "--help"]);
      expect(code, command.join(" ")).to.equal(0);
      expect(out).to.contain(`Usage: ringdex ${command.join(" ")}`);
    }
  });

  it("says the package's version", async () => {
    const text = readFileSync(join(packageFolder(), "package.json"), "utf8");
    const { version } = JSON.parse(text) as { version: string };
    expect(await run(["--version"])).to.deep.equal({ code: 0, out: `${version}\n`, stderr: "" });
  });

  const wrong: [string[], RegExp][] = [
    [["fly"], /unknown command 'fly'/],
    [["nats-conf", "--wings"], /unknown option '--wings'/],
    [["nats-conf", "--port", "x"], /--port is "x"; it must be 0 … 65535/],
    [["nats-conf", "--positions", "-1"], /must be a whole number/],
    [["nats-conf", "--positions", "0"], /position_count/],
    [["node", "start"], /required option '--name <name>'/],
    [["node", "start", "--name", "n1", "--data", "d", "--cluster-nodes", "n1"], /needs --nats-url/],
    [["up", "--nodes", "0"], /--nodes is "0"/],
    [["find", "country:IN", "population:1"], /too many arguments.*single quotes, like '\{"country/],
    [["set", "a", "hello", "world", "--text"], /too many arguments.*--text 'two words'/],
    [["patch", "a", "b:1", "c:1"], /too many arguments.*single quotes/],
    [["get", "a", "b"], /too many arguments for 'get'\. Expected 1 argument but got 2\. \(see/],
    [["get", "a", "-s", "http://h"], /'-s, --server <url>'.*must be nats:\/\/host:port, or/],
    [["get", "a", "--nats-url", "http://h"], /--nats-url is "http:\/\/h"/],
  ];
  for (const [argumentList, reason] of wrong) {
    it(`ends "${argumentList.join(" ")}" with code 2 and the reason on stderr`, async () => {
      const { code, out, stderr } = await run(argumentList);
      expect(stderr).to.match(reason);
      expect(out).to.equal("");
      expect(code).to.equal(2);
    });
  }
});

async function run(argumentList: string[]): Promise<{ code: number; out: string; stderr: string }> {
  let [out, stderr] = ["", ""];
  const code = await runCli(argumentList, {
    env: {},
    stdin: Readable.from([]),
    out: (text) => void (out += String(text)),
    stderr: (text) => (stderr += text),
    isTerminal: false,
    stopping: new AbortController().signal,
  });
  return { code, out, stderr };
}
