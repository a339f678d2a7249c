/** Ringdex's own package: its folder and its version, wherever it is installed. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of Ringdex's own package.json, wherever this file was compiled to. */
export function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`no package.json above ${import.meta.url}`);
    folder = parent;
  }
  return folder;
}

const text = readFileSync(join(packageFolder(), "package.json"), "utf8");
export const packageVersion: string = (JSON.parse(text) as { version: string }).version;
