/**
 * Tidiness that a machine can check: headers, import arrows, no clock or chance in what a seed must
 * replay, line lengths, names, pinned versions. What the linter checks is not repeated here.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { expect } from "chai";
import { packageFolder } from "../infra/files/package-version.js";
import {
  arrowsOf,
  fileCircles,
  structureOf,
  type FolderStructure,
} from "./programs/structure/structure.js";

const COLUMNS_MAX = 100;
/** Written by programs, or not ours to form. */
const unread = new Set([".git", "node_modules", "dist", ".build", ".cache", "data"]);
const textEndings = /\.(ts|js|mjs|py|json|jsonc|md|conf|yml|yaml|toml|html|css|txt|sh)$/;
const textNames = new Set([
  "Makefile",
  ".npmrc",
  ".gitignore",
  ".prettierignore",
  "run",
  "LICENSE",
]);

const root = packageFolder();
const texts = new Map<string, string>(
  filesBelow(root)
    .filter((file) => textEndings.test(file) || textNames.has(basename(file)))
    .map((file) => [relative(root, file), readFileSync(file, "utf8")]),
);
const sources = new Map(
  [...texts].filter(([file]) => /^(protocol|actors|infra|test)\/.*\.ts$/.test(file)),
);

interface Import {
  readonly file: string;
  /** A file of ours without its ending, or a package. */
  readonly target: string;
  readonly isType: boolean;
  /** What is imported by name: "sleep, type Clock". */
  readonly names: string;
}

describe("tidy", () => {
  it("reads the sources it is to check", () => {
    expect(sources.size).to.be.greaterThan(100);
    expect(sources.has("test/tidy.test.ts")).to.equal(true);
    expect(importsOf("a/b.ts", 'import { c, type D } from "../e/f.js";')).to.deep.equal([
      { file: "a/b.ts", target: "e/f", isType: false, names: "c, type D" },
    ]);
  });

  it("finds a header comment in every source", () => {
    const header = /^(#!.*\n)?\/\*\*(\n \*)? \S/;
    expect(filesWhere((text) => !header.test(text))).to.deep.equal([]);
  });

  it("finds only kebab-case file names that say something", () => {
    const form = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.ts$/;
    const empty = /^(utils?|helpers?|common|managers?|index|misc)\.ts$/;
    const files = [...sources.keys()].map((file) => basename(file));
    expect(files.filter((file) => !form.test(file) || empty.test(file))).to.deep.equal([]);
  });

  it(`finds no line of code over ${COLUMNS_MAX} columns`, () => {
    const isCode = ([file]: [string, string]): boolean => /\.(ts|py|mjs|js)$/.test(file);
    const long = [...texts].filter(isCode).flatMap(([file, text]) =>
      text.split("\n").flatMap((line, index) => {
        const columns = Array.from(line).length;
        return columns > COLUMNS_MAX ? [`${file}:${index + 1} has ${columns}`] : [];
      }),
    );
    expect(long).to.deep.equal([]);
  });

  it("finds nothing left to be done, and no test that keeps others from running", () => {
    // Written so that they do not find themselves.
    const marks = /\b(TO[D]O|FIX[M]E|XX[X])\b/;
    const only = /\b(it|describe|context)\.on[l]y\(/;
    expect(filesWhere((text) => marks.test(text) || only.test(text), texts)).to.deep.equal([]);
  });

  it("finds no path of somebody's machine and no registry's name", () => {
    const machine = new RegExp("(^|[\\s\"'`(=:])/(work|root|tmp|home|Users)/", "m");
    const registries = ["regis[t]ry\\.", "npm[j]s\\.", "arti[f]actory", "py[p]i\\.org"];
    const host = new RegExp(`\\b(${registries.join("|")})`, "i");
    const isNamed = (text: string): boolean => machine.test(text) || host.test(text);
    expect(filesWhere(isNamed, texts)).to.deep.equal([]);
  });

  it("finds the files of tests that the Makefile starts first", () => {
    const first = /^FIRST +:=((?:.*\\\n)*.*)$/m.exec(texts.get("Makefile") ?? "")?.[1] ?? "";
    const files = first.split(/[\s\\]+/).filter((name) => name !== "");
    expect(files.length).to.be.greaterThan(10);
    expect(files.filter((name) => !sources.has(`test/${name}.test.ts`))).to.deep.equal([]);
  });

  it("finds exact versions, and a lock that names no place to load from", () => {
    const text = texts.get("package.json") ?? "";
    const { dependencies, devDependencies } = JSON.parse(text) as Record<
      "dependencies" | "devDependencies",
      Record<string, string>
    >;
    const versions = Object.entries({ ...dependencies, ...devDependencies });
    expect(versions.length).to.be.greaterThan(10);
    const loose = versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version));
    expect(loose).to.deep.equal([]);
    expect(texts.get("package-lock.json")).to.contain('"integrity"').and.not.contain('"resolved"');
  });
});

describe("import arrows", () => {
  const imports = [...sources].flatMap(([file, text]) => importsOf(file, text));

  function wrong(from: string, isWrong: (one: Import) => boolean): string[] {
    const of = imports.filter(({ file }) => file.startsWith(from));
    expect(of.length, `imports of ${from}`).to.be.greaterThan(20);
    return of.filter(isWrong).map(({ file, target, names }) => `${file}: ${names} of ${target}`);
  }

  it("lead from protocol to itself and to pure packages only", () => {
    const pure = /^(@msgpack\/msgpack|xxhash-wasm|re2js|node:(buffer|crypto))$/;
    const isWrong = ({ target }: Import): boolean =>
      !target.startsWith("protocol/") && !pure.test(target);
    expect(wrong("protocol/", isWrong)).to.deep.equal([]);
    const nodes = imports.filter(({ file, target }) => {
      return file.startsWith("protocol/") && target === "node:crypto";
    });
    // Hashing is pure, chance is not.
    const chance = nodes.filter(({ names }) => !/^\{?\s*(createHash|hash)\s*\}?$/.test(names));
    expect(chance.map(({ file, names }) => `${file}: ${names}`)).to.deep.equal([]);
  });

  it("lead from actors to protocol, and to what infra says, not to what it does", () => {
    const isWrong = ({ target, isType, names }: Import): boolean => {
      if (/^(actors|protocol)\//.test(target)) return false;
      // A version-7 UUID of the clock and the chance that were handed in.
      if (target === "uuid") return names !== "v7 as uuid7";
      if (!target.startsWith("infra/")) return true;
      const values = names
        .split(",")
        .filter((name) => name.trim() !== "" && !/^\s*type /.test(name));
      const isSleep = target === "infra/clock" && values.join("").trim() === "sleep";
      return !isType && values.length > 0 && !isSleep;
    };
    expect(wrong("actors/", isWrong)).to.deep.equal([]);
  });

  it("lead from one room of protocol to those below it only", () => {
    /** What a room may import beside the words of everybody, which import no room. */
    const below: ReadonlyMap<string, readonly string[]> = new Map([
      ["protocol", []],
      ["protocol/value", []],
      ["protocol/nats", []],
      ["protocol/log", ["value"]],
      ["protocol/store", ["value", "log"]],
      ["protocol/ring", ["nats"]],
      ["protocol/query", ["value", "ring"]],
      ["protocol/request", ["value"]],
      ["protocol/reply", ["value", "request"]],
      ["protocol/node", ["log"]],
    ]);
    const isWrong = ({ file, target }: Import): boolean => {
      const [from, to] = [dirname(file), dirname(target)];
      if (!to.startsWith("protocol/") || from === to) return false;
      return !(below.get(from) ?? []).includes(to.slice("protocol/".length));
    };
    expect(wrong("protocol/", isWrong)).to.deep.equal([]);
  });

  it("lead from infra to protocol and itself; infra/main alone sees actors", () => {
    const isWrong = ({ file, target }: Import): boolean =>
      target.startsWith("test/") ||
      (target.startsWith("actors/") && !file.startsWith("infra/main/"));
    expect(wrong("infra/", isWrong)).to.deep.equal([]);
  });

  it("lead to infra/main from the commands that start and stop it, and else from nowhere", () => {
    // What lies in a data folder is no wiring: commands that only look at it may name it.
    const isWrong = ({ file, target }: Import): boolean =>
      target.startsWith("infra/main/") &&
      !file.startsWith("infra/main/") &&
      file !== "infra/cli/cluster-commands.ts" &&
      !(file.startsWith("infra/cli/") && target === "infra/main/server/data-folder");
    expect(wrong("infra/", isWrong)).to.deep.equal([]);
  });

  it("lead from the client to protocol, itself and the connection", () => {
    const connection = /^infra\/(bus|clock|nats\/[a-z-]+)$/;
    // node:fs for keys and creds, which are named by file.
    const packages = /^(nats|uuid|@msgpack\/msgpack|node:events|node:fs)$/;
    const isWrong = ({ target }: Import): boolean =>
      !/^(protocol|infra\/client)\//.test(target) &&
      !connection.test(target) &&
      !packages.test(target);
    expect(wrong("infra/client/", isWrong)).to.deep.equal([]);
  });

  it("meet no clock, chance or console in actors and protocol", () => {
    const clocks = "Date\\.now|new Date\\(\\)|performance\\.|set(Timeout|Interval|Immediate)";
    const chances = "Math\\.random|random(Bytes|UUID|Fill)";
    const hidden = new RegExp(`\\b(${clocks}|${chances}|console\\.|process\\.)`);
    const core = new Map([...sources].filter(([file]) => /^(actors|protocol)\//.test(file)));
    expect(filesWhere((text) => hidden.test(withoutComments(text)), core)).to.deep.equal([]);
  });
});

describe("structure", () => {
  const ours = [...sources].filter(([file]) => /^(protocol|actors|infra)\//.test(file));
  const arrows = ours.flatMap(([file, text]) => arrowsOf(file, text));
  const files = ours.map(([file]) => file);
  const folders = structureOf(files, arrows);

  it("has no circle of imports, neither of files nor of rooms", () => {
    expect(fileCircles(arrows)).to.deep.equal([]);
    expect(folders.filter(({ backwardsCount }) => backwardsCount > 0)).to.deep.equal([]);
  });

  it("has no more rooms, floors and imports than these, and no fewer", () => {
    // `make structure` prints them. A figure may fall: write the smaller one down. One that has to
    // rise is a new room, and needs its line in docs/tour.md.
    const figures: readonly [string, number, number, number][] = [
      ["actors", 12, 5, 28],
      ["actors/coordinator", 9, 3, 10],
      ["actors/node", 6, 5, 6],
      ["actors/relay", 6, 3, 6],
      ["actors/ring-keeper", 7, 5, 7],
      ["actors/shard", 11, 7, 23],
      ["infra", 17, 5, 38],
      ["protocol", 19, 5, 62],
    ];
    for (const [folder, rooms, floors, imports] of figures) {
      const found = folders.find((each) => each.folder === folder);
      const { roomCount, floorCount, importCount } = found as FolderStructure;
      expect([folder, roomCount, floorCount, importCount]).to.deep.equal([
        folder,
        rooms,
        floors,
        imports,
      ]);
    }
  });

  it("has at most this many sources that no test has the name of", () => {
    const tested = new Set([...sources.keys()].filter((file) => file.endsWith(".test.ts")));
    const untested = files.filter((file) => {
      return !file.endsWith(".d.ts") && !tested.has(`test/${file.replace(/\.ts$/, ".test.ts")}`);
    });
    // The figure may fall: write the smaller one down.
    expect(untested.length).to.equal(49);
  });
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return unread.has(entry.name) ? [] : filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

function filesWhere(
  isFound: (text: string) => boolean,
  among: ReadonlyMap<string, string> = sources,
): string[] {
  return [...among].filter(([, text]) => isFound(text)).map(([file]) => file);
}

/** Examples in comments are not imports: a statement begins its line. */
function importsOf(file: string, text: string): Import[] {
  const statement = /^(?:import|export) (type )?(?:\{([^}]*)\}|[\w* ]*?) ?(?:from )?"([^"]+)";/gm;
  const dynamic = /\bimport\((?:\n\s*)?"([^"]+)"/g;
  const found = [...text.matchAll(statement)].map(([whole, type, names, target]) => ({
    file,
    target: resolved(file, target ?? ""),
    isType: type !== undefined,
    names: (names ?? whole).trim(),
  }));
  const loaded = [...withoutComments(text).matchAll(dynamic)].map(([, target]) => {
    return { file, target: resolved(file, target ?? ""), isType: false, names: "*" };
  });
  return [...found, ...loaded];
}

function resolved(file: string, target: string): string {
  if (!target.startsWith(".")) return target;
  return join(dirname(file), target).replace(/\.js$/, "");
}

/** Good enough for code in our format: a line comment follows white space. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}
