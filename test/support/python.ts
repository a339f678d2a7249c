/**
 * A Python with the packages that test/python asks for: a virtual environment in .cache/python,
 * made with whatever Python is there and kept until the requirements change.
 *
 * Not every machine has Python or can reach a package index. That is not a failure of Ringdex, so
 * the function then returns the reason, and the test is skipped with it.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { packageFolder } from "../../infra/files/package-version.js";

const run = promisify(execFile);
const PROBE_TIMEOUT_MS = 10_000;
const INSTALL_TIMEOUT_MS = 180_000;
/** Prints the version; the program ends with 1 if that is too old. */
const probe = "import sys; print(sys.version); sys.exit(sys.version_info < (3, 9))";

export const pythonFolder = join(packageFolder(), "test", "python");

export type PythonFound =
  | { readonly python: string }
  /** Why there is none. */
  | { readonly missing: string };

/** Takes some seconds the first time, then a moment. Rejects only if files cannot be written. */
export async function findPython(): Promise<PythonFound> {
  const system = await systemPython();
  if (system === undefined) return { missing: "no Python 3.9 or newer on PATH" };
  const folder = join(packageFolder(), ".cache", "python");
  const requirements = join(pythonFolder, "requirements.txt");
  const python = join(folder, "bin", "python");
  const stamp = join(folder, "ringdex-requirements.txt");
  const wanted = `${readFileSync(requirements, "utf8")}# ${system.version}\n`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return { python };
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    await run(system.path, ["-m", "venv", folder], { timeout: INSTALL_TIMEOUT_MS });
    const quick = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
    const argumentList = ["-m", "pip", "install", ...quick, "-r", requirements];
    await run(python, argumentList, { timeout: INSTALL_TIMEOUT_MS });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    return { missing: `the packages of test/python cannot be installed: ${lastLine(error)}` };
  }
  // Last: an environment that is half made has no stamp.
  writeFileSync(stamp, wanted);
  return { python };
}

async function systemPython(): Promise<{ path: string; version: string } | undefined> {
  for (const path of ["python3", "python"]) {
    try {
      const { stdout } = await run(path, ["-c", probe], { timeout: PROBE_TIMEOUT_MS });
      return { path, version: stdout.trim().replaceAll("\n", " ") };
    } catch {
      continue; // not there, or too old: perhaps the other name is a newer one
    }
  }
  return undefined;
}

/** Of what the program that failed said; else of the error itself. */
function lastLine(error: unknown): string {
  const { stderr, stdout, message } = error as Error & { stderr?: string; stdout?: string };
  const said = [stderr, stdout, message].find((text) => text !== undefined && text.trim() !== "");
  return said?.trim().split("\n").at(-1) ?? "no reason given";
}
