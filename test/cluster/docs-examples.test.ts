/**
 * The examples of docs/client.md (marked `ts runnable`) as programs of their own: type-checked
 * against the package's types, and run against a cluster. What a comment after a console.log says
 * comes out, as far as it is a figure and not prose.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { packageFolder } from "../../infra/files/package-version.js";
import { runProgram } from "../support/run-program.js";
import { useSharedCluster } from "../support/shared-cluster.js";

const project = packageFolder();
/** What these tests were compiled to. */
const built = fileURLToPath(new URL("../..", import.meta.url));
/** Packages that examples may name beside ours. */
const packages = ["nats", "uuid", "@types"];

const examples = [
  ...readFileSync(join(project, "docs", "client.md"), "utf8").matchAll(
    /^## (?<title>.*)$|^```ts runnable\n(?<code>[^]*?)^```$/gm,
  ),
]
  .reduce<{ title: string; code: string }[]>((found, { groups }) => {
    const title = groups?.["title"] ?? found.at(-1)?.title ?? "";
    const code = groups?.["code"] ?? "";
    // A heading stands for the example that follows it.
    if (found.at(-1)?.code === "") found.pop();
    return [...found, { title, code }];
  }, [])
  .filter(({ code }) => code !== "");

describe("examples of docs/client.md", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();
  let folder = "";

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-docs-"));
    installInto(join(folder, "node_modules"));
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
    for (const [index, { code }] of examples.entries()) {
      writeFileSync(join(folder, `example-${index}.ts`), code);
    }
    const tsc = join(project, "node_modules", "typescript", "bin", "tsc");
    const { code, out } = await runProgram(process.execPath, [tsc, "-p", folder]);
    expect({ code, out }).to.deep.equal({ code: 0, out: "" });
  });
  after(() => {
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  });

  it("are there", () => {
    expect(examples.length).to.be.at.least(8);
  });

  for (const [index, { title, code }] of examples.entries()) {
    it(`run: ${title}`, async () => {
      const env = { NATS_URL: shared.cluster.url };
      const file = join(folder, `example-${index}.js`);
      const ran = await runProgram(process.execPath, [file], { env, timeoutMs: 20_000 });
      expect(ran).to.deep.include({ code: 0, stderr: "" });
      const lines = ran.out.split("\n");
      for (const figure of figuresOf(code)) {
        expect(
          lines.some((line) => line.startsWith(figure)),
          `${figure} in ${ran.out}`,
        ).to.equal(true);
      }
    });
  }
});

const tsconfig = {
  compilerOptions: {
    target: "es2022",
    lib: ["es2023"],
    module: "nodenext",
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: ["node"],
  },
};

/** As npm would, but with what was just compiled. */
function installInto(modules: string): void {
  const ours = join(modules, "ringdex");
  mkdirSync(ours, { recursive: true });
  symlinkSync(built, join(ours, "dist"));
  const text = readFileSync(join(project, "package.json"), "utf8");
  const { name, type, exports } = JSON.parse(text) as Record<string, unknown>;
  writeFileSync(join(ours, "package.json"), JSON.stringify({ name, type, exports }));
  for (const each of packages)
    symlinkSync(join(project, "node_modules", each), join(modules, each));
}

/** `console.log(value); // 7` → "7". */
function figuresOf(code: string): string[] {
  const comments = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
  return comments
    .filter((text) => text !== undefined && /^(\d|true|false|\[|\{)/.test(text))
    .map((text) => /^(\[.*\]|\{.*\}|\S+)/.exec(text ?? "")?.[1] ?? "");
}
