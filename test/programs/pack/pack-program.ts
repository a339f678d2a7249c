/**
 * `make pack`: packs both npm packages into .build/: `ringdex-client` (the client), and `ringdex`
 * (server, command line and client). Prints where they are and how to install them.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { packageFolder } from "../../../infra/files/package-version.js";
import { writeClientPackage } from "./client-package.js";

const project = packageFolder();
const build = join(project, ".build");
const clientFolder = join(build, "ringdex-client");

rmSync(clientFolder, { recursive: true, force: true });
mkdirSync(build, { recursive: true });
writeClientPackage(project, join(project, "dist"), clientFolder);

for (const source of [clientFolder, project]) {
  const options = ["pack", "--ignore-scripts", "--json", "--pack-destination", build];
  const out = execFileSync("npm", options, { cwd: source, encoding: "utf8" });
  const [packed] = JSON.parse(out) as { filename: string; entryCount: number }[];
  if (packed === undefined) throw new Error(`npm packed nothing of ${source}`);
  const file = join(build, packed.filename);
  const kib = Math.ceil(statSync(file).size / 1_024);
  const size = `${packed.entryCount} files, ${kib} KiB`;
  process.stdout.write(`npm install ${relative(process.cwd(), file)}   # ${size}\n`);
}
