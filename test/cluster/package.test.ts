/**
 * The npm package: packed, installed by npm into an empty folder, and used there as a newcomer
 * would: `ringdex up`, set and get, and `import { connect } from "ringdex"`.
 *
 * npm needs its registry (or its cache) for what the package depends on. Where that cannot be
 * reached the test is skipped, and says so.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { packageFolder } from "../../infra/files/package-version.js";
import { findNatsServer } from "../../infra/nats-server/nats-binary.js";
import { runProgram, type Ran, type RunOptions } from "../support/run-program.js";
import { until } from "../support/until.js";

const project = packageFolder();
/** What these tests were compiled to: the package's `dist`. */
const built = fileURLToPath(new URL("../..", import.meta.url));
const INSTALL_TIMEOUT_MS = 120_000;
const WAIT_MS = 30_000;
const unreachable = /ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|ENOTCACHED/;
const npmOptions = ["--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"];

describe("npm package", function () {
  this.timeout(INSTALL_TIMEOUT_MS + 60_000);
  let folder: string;
  let home: string;

  before(async function () {
    folder = mkdtempSync(join(tmpdir(), "ringdex-package-"));
    home = join(folder, "home");
    mkdirSync(home);
    writeFileSync(join(home, "package.json"), '{"type":"module","private":true}');
    const packed = await pack(join(folder, "source"));
    const options = { cwd: home, timeoutMs: INSTALL_TIMEOUT_MS };
    const installed = await runProgram("npm", ["install", ...npmOptions, packed], options);
    const why = installed.code === 0 ? undefined : unreachable.exec(installed.stderr)?.[0];
    if (why !== undefined) {
      process.stderr.write(`      skipped: npm cannot reach its registry (${why})\n`);
      this.skip();
    }
    expect(installed.code, installed.stderr).to.equal(0);
  });
  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  function ringdex(argumentList: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const program = join(home, "node_modules", ".bin", "ringdex");
    return runProgram(program, argumentList, { cwd: home, ...options });
  }

  it("has all it needs, and nothing of the tests", () => {
    const installed = join(home, "node_modules", "ringdex");
    const needed = ["dist/infra/cli/ringdex.js", "dist/infra/client/client.d.ts", "nats.conf"];
    for (const file of [...needed, "docs/client.md", "LICENSE"]) {
      expect(existsSync(join(installed, file)), file).to.equal(true);
    }
    expect(existsSync(join(installed, "dist", "test"))).to.equal(false);
  });

  for (const resolution of ["nodenext", "bundler"]) {
    it(`has types that strict TypeScript finds by ${resolution}`, async () => {
      const file = join(home, "typed.ts");
      writeFileSync(file, typedScript);
      const modules = resolution === "bundler" ? "preserve" : resolution;
      const compiler = join(project, "node_modules", ".bin", "tsc");
      const types = ["--typeRoots", join(project, "node_modules", "@types"), "--types", "node"];
      const how = ["--module", modules, "--moduleResolution", resolution, "--target", "es2022"];
      const argumentList = ["--noEmit", "--strict", ...how, ...types, file];
      const checked = await runProgram(compiler, argumentList, { cwd: home, timeoutMs: WAIT_MS });
      expect(checked.code, checked.out).to.equal(0);
    });
  }

  it("gives a working program and client", async () => {
    const text = readFileSync(join(project, "package.json"), "utf8");
    const { version } = JSON.parse(text) as { version: string };
    expect(await ringdex(["--version"])).to.deep.include({ code: 0, out: `${version}\n` });

    const stopping = new AbortController();
    let url: string | undefined;
    const upEnv = {
      RINGDEX_DATA: join(folder, "data"),
      RINGDEX_PORT: "0",
      RINGDEX_NODES: "1",
      RINGDEX_NATS_SERVER: await findNatsServer(),
    };
    const onOut = (out: string): void => void (url = /^ready (\S+) /m.exec(out)?.[1]);
    const options = { env: upEnv, signal: stopping.signal, onOut, timeoutMs: 2 * WAIT_MS };
    const up = ringdex(["up"], options);
    try {
      await until(() => url !== undefined, WAIT_MS, "the ready line");
      const env = { RINGDEX_NATS_URL: url };
      const set = await ringdex(["set", "city.delhi", '{"country":"IN"}'], { env });
      expect(set).to.deep.include({ code: 0, out: "created at revision 1\n" });
      const got = await ringdex(["get", "city.delhi"], { env });
      expect(got).to.deep.include({ code: 0, out: '{"country":"IN"}' });
      const script = join(home, "find.js");
      writeFileSync(script, findScript);
      const found = await runProgram(process.execPath, [script], { env, cwd: home });
      expect(found).to.deep.include({ code: 0, stderr: "", out: "city.delhi\n" });
    } finally {
      stopping.abort();
    }
    expect(await up).to.include({ code: 0 });
  });
});

const findScript = `import { connect } from "ringdex";
const db = await connect({ servers: process.env.RINGDEX_NATS_URL });
for await (const { key } of db.find({ country: "IN" })) console.log(key);
await db.close();
`;

/** Compiles only if the values' type arrives: where one is `any`, its line is an error. */
const typedScript = `import { connect, isConflict, type Entry } from "ringdex";
interface City { name: string; country: string }
const db = await connect<City>();
const got: Entry<City> | undefined = await db.get("city.delhi");
// @ts-expect-error: a city has a text for a name
const wrong: number | undefined = got?.value.name;
for await (const { value } of db.find({ country: "IN" })) value.name.toUpperCase();
try {
  await db.set("city.delhi", { name: "Delhi", country: "IN" }, { ifRevision: 1 });
} catch (error) {
  if (isConflict(error)) console.log(error.message, wrong);
}
`;

/** As `npm pack` in the project, with what was compiled for this run. Resolves with the file. */
async function pack(source: string): Promise<string> {
  const text = readFileSync(join(project, "package.json"), "utf8");
  const { files } = JSON.parse(text) as { files: string[] };
  mkdirSync(source);
  for (const name of ["package.json", "README.md", "LICENSE", ...files]) {
    const from = name.startsWith("dist/") ? join(built, name.slice(5)) : join(project, name);
    expect(existsSync(from), `${name}, which package.json or npm names`).to.equal(true);
    cpSync(from, join(source, name), { recursive: true });
  }
  const argumentList = ["pack", "--ignore-scripts", "--json"];
  const { code, out, stderr } = await runProgram("npm", argumentList, { cwd: source });
  expect(code, stderr).to.equal(0);
  const [packed] = JSON.parse(out) as { filename: string }[];
  return join(source, packed?.filename ?? "");
}
