/**
 * No decoder of the protocol without a fuzz target: each exported function that decodes, parses or
 * reads is called by a target, or stands below with the one that calls it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageFolder } from "../../infra/files/package-version.js";
import { decoders } from "./decoders.js";

/** Called by no target itself, and why not. */
const exceptions: ReadonlyMap<string, string> = new Map([
  ["decodeMsgpackExact", "decodeValue calls it"],
  ["parseContentType", "readHeaders and parseKeylessRequest call it"],
  ["readBody", "parseKeylessRequest and parseBatchRequest call it"],
  ["readError", "it makes an error of a read, and reads nothing"],
  ["readFrame", "parseBatchRequest calls it"],
  ["readGenesis", "decodeEntry calls it, and so does decodeAppliedRow"],
  ["readIncr", "parseSubjectRequest calls it"],
  ["readMembers", "it writes the members of a reply, and reads nothing"],
  ["readText", "parseKeylessRequest and parseBatchRequest call it"],
]);

const root = packageFolder();
const declared = namesIn("protocol", /^export (?:async )?function\*? ((?:decode|parse|read)\w+)/gm);
const methods = namesIn("protocol", /^ {2}(?:static )?((?:decode|parse|read)[A-Z]\w+)\(.*\{$/gm);
const called = new Set(namesIn(join("test", "fuzz"), /\b((?:decode|parse|read)\w+)(?:<\w+>)?\(/g));

describe("every decoder of the protocol", () => {
  it("is called by a fuzz target, or is named with the reason why not", () => {
    expect(declared.length).to.be.greaterThan(40);
    expect(methods).to.include("parseRingSubject");
    const missing = [...declared, ...methods].filter((name) => !called.has(name));
    expect([...new Set(missing)].toSorted()).to.deep.equal([...exceptions.keys()]);
  });

  it("has a target of a name of its own", () => {
    const names = decoders.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
  });
});

/** What the pattern finds in the folder's sources, tests and comments left out. */
function namesIn(folder: string, pattern: RegExp): string[] {
  const files = readdirSync(join(root, folder), { recursive: true })
    .map(String)
    .filter((file) => /(?<!\.test)\.ts$/.test(file));
  return files.flatMap((file) => {
    const text = readFileSync(join(root, folder, file), "utf8").replace(/^\s*(\*|\/[*/]).*$/gm, "");
    return [...text.matchAll(pattern)].map(([, name = ""]) => name);
  });
}
