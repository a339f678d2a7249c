/**
 * The command line itself, and the commands that need no running cluster.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { exitCodes, exitOfError } from "../../../infra/cli/exit-codes.js";
import { runCli } from "../../../infra/cli/program.js";
import { packageFolder } from "../../../infra/files/package-version.js";
import { settingsTable } from "../../../infra/settings/config.js";
import { errorNames, KvError } from "../../../protocol/errors.js";

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

describe("an option that is wrong", () => {
  it("is told in one line, with the help of its own command", async () => {
    expect((await run(["find", "--wings"])).stderr).to.match(
      /^ringdex: unknown option '--wings' \(see "ringdex find --help"\)\n$/,
    );
    expect((await run(["node", "start"])).stderr).to.match(
      /\(see "ringdex node start --help"\)\n$/,
    );
    expect((await run(["stat"])).stderr).to.match(
      /^ringdex: unknown command 'stat' \(Did you mean .*\) \(see "ringdex --help"\)\n$/,
    );
  });

  it("of a read is explained as one, not as one of up", async () => {
    expect((await run(["get", "--help"])).out.replaceAll(/\s+/g, " "))
      .to.contain("the store's NATS server")
      .and.not.contain("start none");
  });
});

describe("help", () => {
  it("shows how to connect on a page of its own, not with each command", async () => {
    const { out } = await run(["get", "--help"]);
    for (const option of ["--server", "--store", "--data"]) expect(out).to.contain(option);
    expect(out).not.to.contain("--nats-creds");
    expect(out).to.contain("ringdex help connection").and.not.contain("RINGDEX_NATS_PASSWORD");
    expect(out.split("\n").length).to.be.below(25);
    const page = await run(["help", "connection"]);
    expect(page.code).to.equal(0);
    for (const { name, flag, variable } of settingsTable) {
      if (name.startsWith("nats") && name !== "natsServer") {
        expect(page.out).to.contain(flag === undefined ? variable : `--${flag} `);
      }
    }
    expect((await run(["connection"])).out).to.equal(page.out);
  });

  it("has nothing that is not built", async () => {
    expect((await run(["find", "--help"])).out).not.to.contain("--order");
  });
});

describe("options before a command", () => {
  it("count for it, and one behind it wins", async () => {
    const stderrOf = async (...list: string[]): Promise<string> => (await run(list)).stderr;
    const one = "127.0.0.1:1";
    expect(await stderrOf("-s", one, "get", "a")).to.match(/cannot reach nats:\/\/127\.0\.0\.1:1 /);
    expect(await stderrOf("--nats-url", "127.0.0.1:2", "get", "a", "-s", one)).to.match(/0\.1:1 /);
    expect(await stderrOf("--data", "none-there", "status")).to.match(
      /no cluster runs on none-there/,
    );
  });

  it("are refused where they say nothing, and where they are unknown", async () => {
    const { code, stderr } = await run(["--store", "a", "nats-server"]);
    expect(code).to.equal(2);
    expect(stderr).to.match(/--store before the command says nothing to "nats-server"/);
    expect((await run(["--wings", "get", "a"])).code).to.equal(2);
  });
});

describe("exit codes", () => {
  it("are all different", () => {
    const codes = Object.values(exitCodes).map(({ code }) => code);
    expect(new Set(codes).size).to.equal(codes.length);
  });

  it("tell what a script asks: is it there, try again, may it have happened", () => {
    const exits = errorNames.map((name) => [name, exitOfError(new KvError(name, "text"))]);
    expect(Object.fromEntries(exits)).to.deep.include({
      "not-found": "no",
      conflict: "conflict",
      unavailable: "unavailable",
      overloaded: "unavailable",
      "in-doubt": "inDoubt",
      internal: "failed",
    });
    expect(exitOfError(new TypeError("a bug"))).to.equal("failed");
  });
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
