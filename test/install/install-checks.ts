/**
 * Both npm packages as newcomers get them: each way of installing begins in an empty folder, and
 * ends with a program that writes and reads a record of a real cluster.
 *
 * Ways: the tarballs of `make pack`; `npm install <clone>` of a clone that was never built;
 * `npm install git+file://…`. Programs: ES module, CommonJS, and the bundles of both that esbuild
 * makes. `make test-install` runs this file: it needs npm's registry, and a few minutes.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { build } from "esbuild";
import { packageFolder } from "../../infra/files/package-version.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { runProgram, type Ran } from "../support/run-program.js";

const project = packageFolder();
const INSTALL_TIMEOUT_MS = 600_000;
const npmOptions = ["--no-audit", "--no-fund", "--prefer-offline"];

describe("an installed package", function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  let folder: string;
  let cluster: Cluster;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-install-"));
    cluster = await startCluster({ nodes: 1, replicas: 1 });
    // What is committed and what is not, as a clone would have it: no node_modules, nothing built.
    const files = git(project, ["ls-files", "-co", "--exclude-standard", "-z"]);
    const archive = join(folder, "clone.tar");
    execFileSync("tar", ["cf", archive, "--null", "-T", "-"], { cwd: project, input: files });
    mkdirSync(join(folder, "clone"));
    execFileSync("tar", ["xf", archive], { cwd: join(folder, "clone") });
    git(join(folder, "clone"), ["init", "-q"]);
    git(join(folder, "clone"), ["add", "-A"]);
    const author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
    git(join(folder, "clone"), [...author, "commit", "-q", "-m", "all files"]);
  });
  after(async () => {
    await (cluster as Cluster | undefined)?.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  describe("from the client's tarball", () => {
    let home: string;
    before(async () => {
      home = await install("client", packed("ringdex-client"));
    });

    it("brings nothing of the server", () => {
      const packages = readdirSync(join(home, "node_modules"));
      expect(packages).to.include("nats").and.not.include("rocksdb");
      expect(packages).to.not.include("winston");
    });
    it("works as an ES module", () =>
      writesAndReads(home, "run.mjs", moduleText("ringdex-client")));
    it("works as CommonJS", () => writesAndReads(home, "run.cjs", commonText("ringdex-client")));
    for (const format of ["esm", "cjs"] as const) {
      it(`works bundled by esbuild as ${format}`, async () => {
        writeFileSync(join(home, "entry.mjs"), moduleText("ringdex-client", format));
        const outfile = join(home, format === "esm" ? "bundle.mjs" : "bundle.cjs");
        // nats is CommonJS and asks for Node's own modules by require, which an ES module lacks.
        const js =
          'import { createRequire } from "node:module";' +
          "const require = createRequire(import.meta.url);";
        const banner = format === "esm" ? { banner: { js } } : {};
        const entryPoints = [join(home, "entry.mjs")];
        const how = { bundle: true, platform: "node", target: "node20", format } as const;
        await build({ ...how, ...banner, entryPoints, outfile, logLevel: "silent" });
        works(await runProgram(process.execPath, [outfile], { env: env() }));
      });
    }
  });

  describe("from the server's tarball", () => {
    let home: string;
    before(async () => {
      home = await install("server", packed("ringdex"));
    });

    it("works as an ES module", () => writesAndReads(home, "run.mjs", moduleText("ringdex")));
    it("works as CommonJS", () => writesAndReads(home, "run.cjs", commonText("ringdex")));
    it("has a command line that works", () => commandWorks(home));
  });

  describe("from a clone that was not built", () => {
    let home: string;
    before(async () => {
      home = await install("from-clone", join(folder, "clone"));
    });

    it("works as an ES module", () => writesAndReads(home, "run.mjs", moduleText("ringdex")));
    it("has a command line that works", () => commandWorks(home));
  });

  describe("from git", () => {
    let home: string;
    before(async () => {
      home = await install("from-git", `git+file://${join(folder, "clone")}`);
    });

    it("works as an ES module", () => writesAndReads(home, "run.mjs", moduleText("ringdex")));
    it("has a command line that works", () => commandWorks(home));
  });

  async function install(name: string, what: string): Promise<string> {
    const home = join(folder, name);
    mkdirSync(home);
    // As `npm init -y` leaves it: CommonJS, and no dependency.
    writeFileSync(join(home, "package.json"), '{"name":"home","version":"1.0.0","private":true}');
    const options = { cwd: home, env: { MAKELEVEL: undefined }, timeoutMs: INSTALL_TIMEOUT_MS };
    const installed = await runProgram("npm", ["install", ...npmOptions, what], options);
    expect(installed.code, installed.stderr).to.equal(0);
    return home;
  }

  async function writesAndReads(home: string, name: string, text: string): Promise<void> {
    const file = join(home, name);
    writeFileSync(file, text);
    works(await runProgram(process.execPath, [file], { cwd: home, env: env() }));
  }

  async function commandWorks(home: string): Promise<void> {
    const program = join(home, "node_modules", ".bin", "ringdex");
    const options = { cwd: home, env: { RINGDEX_NATS_URL: cluster.url } };
    expect((await runProgram(program, ["set", "city.agra", '{"a":1}'], options)).code).to.equal(0);
    const got = await runProgram(program, ["get", "city.agra"], options);
    expect(got).to.deep.include({ code: 0, out: '{"a":1}' });
  }

  function env(): NodeJS.ProcessEnv {
    return { URL_OF_STORE: cluster.url };
  }
});

/** The program printed what it read, and nothing on stderr. */
function works(ran: Ran): void {
  expect(ran).to.deep.include({ code: 0, stderr: "", out: "IN\n" });
}

function packed(name: string): string {
  const pattern = new RegExp(`^${name}-\\d.*\\.tgz$`);
  const build = join(project, ".build");
  const file = readdirSync(build).find((each) => pattern.test(each));
  if (file === undefined) throw new Error(`${build} has no package ${name}; run make pack`);
  return join(build, file);
}

function git(cwd: string, argumentList: readonly string[]): Buffer {
  return execFileSync("git", argumentList, { cwd, maxBuffer: 64 * 1_024 * 1_024 });
}

const body = `
  const db = await connect({ servers: process.env.URL_OF_STORE });
  await db.set("city.delhi", { country: "IN" });
  const entry = await db.get("city.delhi");
  console.log(entry.value.country);
  await db.close();`;

/** A bundle as CommonJS can have no \`await\` outside a function. */
function moduleText(name: string, format: "esm" | "cjs" = "esm"): string {
  const head = `import { connect } from "${name}";`;
  return format === "esm" ? `${head}${body}` : `${head}(async () => {${body}})();`;
}

function commonText(name: string): string {
  return `const { connect } = require("${name}");(async () => {${body}})();`;
}
