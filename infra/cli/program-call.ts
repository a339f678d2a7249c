/**
 * How a person calls this program from where they are: what hints in messages begin with.
 *
 * `npx ringdex` only where it finds this very package: elsewhere npx would offer to install
 * another of that name. Where nothing short leads to it, the path does.
 */
import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";

export interface Surroundings {
  readonly cwd: string;
  /** The variable PATH. */
  readonly path: string | undefined;
  /** Folder of this package. */
  readonly packageFolder: string;
}

const PROGRAM = join("dist", "infra", "cli", "ringdex.js");

/** `ringdex`, `npx ringdex`, or `node dist/infra/cli/ringdex.js`. */
export function programCall({ cwd, path = "", packageFolder }: Surroundings): string {
  const own = realPath(join(packageFolder, PROGRAM));
  const isOnPath = path
    .split(delimiter)
    .some(
      (folder) => folder !== "" && own !== undefined && realPath(join(folder, "ringdex")) === own,
    );
  if (isOnPath) return "ringdex";
  for (let folder = cwd; ; folder = dirname(folder)) {
    const found = realPath(join(folder, "node_modules", ".bin", "ringdex"));
    if (found !== undefined) {
      if (found === own) return "npx ringdex";
      break;
    }
    if (dirname(folder) === folder) break;
  }
  const program = join(packageFolder, PROGRAM);
  const near = relative(cwd, program);
  return `node ${near.startsWith("..") ? program : near}`;
}

/** How to start a cluster in the background: by make, in the package's own folder. */
export function startCall(surroundings: Surroundings): string {
  const { cwd, packageFolder } = surroundings;
  const hasMake = realPath(cwd) === realPath(packageFolder) && existsSync(join(cwd, "Makefile"));
  const call = `"${programCall(surroundings)} up"`;
  return hasMake ? `"make cluster" or ${call}` : call;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined; // not there
  }
}
