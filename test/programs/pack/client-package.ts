/**
 * The client's package: writes a folder that npm can pack, with the client and what it imports, and
 * nothing of the server.
 *
 * The files are found by following the imports from infra/client/client.ts, so the package holds
 * what the client needs and no more. Packages that they import become its dependencies, in the
 * versions that package.json has.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { arrowsOf } from "../structure/structure.js";

const ENTRY = "infra/client/client";

interface PackageJson {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly [member: string]: unknown;
}

/**
 * Fills `folder`, which must not exist. `project` holds package.json and the sources, `built` what
 * they were compiled to. Throws if a file or a dependency is missing.
 */
export function writeClientPackage(project: string, built: string, folder: string): void {
  const whole = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as PackageJson;
  const files = filesFrom(project, ENTRY);
  mkdirSync(folder, { recursive: true });
  for (const file of files) {
    for (const ending of [".js", ".js.map", ".d.ts"]) {
      const target = join(folder, "dist", file + ending);
      mkdirSync(dirname(target), { recursive: true });
      cpSync(join(built, file + ending), target);
    }
  }
  cpSync(join(project, "LICENSE"), join(folder, "LICENSE"));
  cpSync(join(project, "CHANGELOG.md"), join(folder, "CHANGELOG.md"));
  writeFileSync(join(folder, "README.md"), readmeOf(project));
  const text = JSON.stringify(packageOf(whole, packagesOf(project, files)), undefined, 2);
  writeFileSync(join(folder, "package.json"), `${text}\n`);
}

/** The entry and all files of ours that it imports, directly or not; without endings. */
function filesFrom(project: string, entry: string): string[] {
  const found = new Set([entry]);
  for (const file of found) {
    const text = readFileSync(join(project, `${file}.ts`), "utf8");
    for (const { to } of arrowsOf(`${file}.ts`, text)) {
      if (!existsSync(join(project, `${to}.ts`))) throw new Error(`${file} imports ${to}: missing`);
      found.add(to);
    }
  }
  return [...found].toSorted();
}

/** Packages that the files import; those of Node itself are left out. */
function packagesOf(project: string, files: readonly string[]): string[] {
  const statement = /^(?:import|export) (?:[^"';]*? from )?"([^."][^"]*)";/gm;
  const names = files.flatMap((file) => {
    const text = readFileSync(join(project, `${file}.ts`), "utf8");
    return [...text.matchAll(statement)].map(([, name = ""]) => name);
  });
  return [...new Set(names)].filter((name) => !name.startsWith("node:")).toSorted();
}

function packageOf(whole: PackageJson, packages: readonly string[]): object {
  const dependencies = packages.map((name) => {
    const version = whole.dependencies[name];
    if (version === undefined) throw new Error(`package.json has no dependency ${name}`);
    return [name, version];
  });
  const { version, license, type, engines, homepage, bugs, repository, keywords } = whole;
  return {
    name: "ringdex-client",
    version,
    description: "Client for Ringdex, a key-value store on NATS, indexed on every attribute",
    keywords,
    homepage,
    bugs,
    repository,
    license,
    type,
    engines,
    sideEffects: false,
    main: `./dist/${ENTRY}.js`,
    types: `./dist/${ENTRY}.d.ts`,
    exports: {
      ".": { types: `./dist/${ENTRY}.d.ts`, default: `./dist/${ENTRY}.js` },
      "./package.json": "./package.json",
    },
    files: ["dist", "CHANGELOG.md"],
    dependencies: Object.fromEntries(dependencies),
  };
}

/** docs/client.md without links to pages that the package does not have, and by its own name. */
function readmeOf(project: string): string {
  const text = readFileSync(join(project, "docs", "client.md"), "utf8");
  return text
    .replaceAll('from "ringdex"', 'from "ringdex-client"')
    .replaceAll(/\[([^\]]*)\]\((?!https?:|#)[^)]*\)/g, "$1");
}
