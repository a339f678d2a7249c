/**
 * Mutants: defects planted into copies of the sources, one at a time.
 *
 * Each is a patch in patches/, with a few lines before the difference:
 *
 *   Defect: what is wrong, in one sentence
 *   Rule:   what it breaks: a rule of design.md (L1 to L9), or a heading there ("A write"), or one
 *           of the protocol ("Errors of protocol.md"); several by commas
 *   Seeds:  within how many seeds the simulation must notice
 *   Lives:  only of one that nobody can notice: why
 *
 * A patch must apply exactly: one that no longer does would be a test that is not run.
 *
 * Those named stryker-… say "made by a tool" for their rule. They were drawn by chance, so that not
 * only defects are tried that we thought of: from the 2,151 mutants that Stryker's instrumenter
 * (@stryker-mutator/instrumenter 9.6.1, without its StringLiteral) made of 16 files: in
 * actors/shard/ the cores of applier, operation, proposer and reader, and entry-work, origins,
 * outcomes, change-set, row-times, query-page, query-plan; in actors/coordinator/ merge, coverage;
 * a batch's progress and its attempts; and the relay's core. 24 were drawn, one at most of a line:
 * the index floor(2151 x / (2³¹ − 1)) with x ← (1103515245 x + 12345) mod 2³¹ from 20261121 on.
 * Fourteen did not compile; the other ten are here in the order in which they were drawn.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Mutant {
  /** The patch's file name without its ending. */
  readonly name: string;
  readonly file: string;
  readonly defect: string;
  readonly rule: string;
  readonly seedsMax: number;
  /** Why it cannot be noticed; undefined = it must be. */
  readonly lives: string | undefined;
}

/** Drawn from what a tool makes, and not thought of by somebody. */
export function isDrawn({ name }: Mutant): boolean {
  return name.startsWith("stryker-");
}

/** All patches of a folder, by name, drawn ones last. Throws where a head lacks a line. */
export async function readMutants(folder: string): Promise<Mutant[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".patch")).sort();
  const read = files.map(async (file) => {
    const path = join(folder, file);
    return parseMutant(file.replace(/\.patch$/, ""), path, await readFile(path, "utf8"));
  });
  const mutants = await Promise.all(read);
  return [...mutants.filter((mutant) => !isDrawn(mutant)), ...mutants.filter(isDrawn)];
}

export function parseMutant(name: string, file: string, text: string): Mutant {
  const head = text.slice(0, text.indexOf("\n--- "));
  const field = (label: string): string | undefined =>
    new RegExp(`^${label}:\\s+(.+)$`, "m").exec(head)?.[1];
  const needed = (label: string): string => {
    const value = field(label);
    if (value === undefined) throw new Error(`${name}.patch has no line "${label}: …"`);
    return value;
  };
  const seedsMax = Number(needed("Seeds"));
  if (!Number.isSafeInteger(seedsMax) || seedsMax < 1) {
    throw new Error(`${name}.patch: "Seeds" is a whole number, not ${needed("Seeds")}`);
  }
  const lives = field("Lives");
  return { name, file, defect: needed("Defect"), rule: needed("Rule"), seedsMax, lives };
}

const sources = ["protocol", "actors", "infra", "test"];
const others = ["package.json", "tsconfig.json", "dist"];

/** A copy of the project that one mutant at a time is built in. */
export class Workshop {
  private constructor(readonly folder: string) {}

  /** `project` must be built. */
  static async open(project: string, folder: string): Promise<Workshop> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const name of [...sources, ...others]) {
      await cp(join(project, name), join(folder, name), { recursive: true });
    }
    await symlink(join(project, "node_modules"), join(folder, "node_modules"));
    return new Workshop(folder);
  }

  /** Rejects if the patch does not apply, or what comes of it does not compile. */
  async plant({ name, file }: Mutant): Promise<void> {
    try {
      await this.#apply(file);
    } catch (error) {
      const text = `${name}.patch does not apply any more; make it anew from the sources of today`;
      throw new Error(text, { cause: error });
    }
    await this.#compile();
  }

  async remove({ file }: Mutant): Promise<void> {
    await this.#apply(file, "--reverse");
    await this.#compile();
  }

  async #apply(file: string, ...options: string[]): Promise<void> {
    // Inside a repository git would take the paths for those of the repository.
    const env = { ...process.env, GIT_CEILING_DIRECTORIES: dirname(this.folder) };
    await run("git", ["apply", ...options, file], { cwd: this.folder, env });
  }

  async #compile(): Promise<void> {
    const compiler = join(this.folder, "node_modules", ".bin", "tsc");
    try {
      await run(compiler, ["-p", "tsconfig.json"], { cwd: this.folder });
    } catch (error) {
      throw new Error(`it does not compile:\n${(error as { stdout: string }).stdout}`);
    }
  }
}
