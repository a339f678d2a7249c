/**
 * Fuzzer: changes inputs of one decoder, keeps those that reach code that none before reached, and
 * changes these again. Everything comes from one seed.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../infra/files/package-version.js";
import { mutated } from "../hostile/mutate.js";
import { structuredAttack } from "../hostile/payloads.js";
import { Random } from "../hostile/random.js";
import type { Coverage } from "./coverage.js";
import type { Decoder } from "./decoder.js";

/** Inputs are not grown beyond this, but for attacks that need it. */
const INPUT_BYTES_MAX = 4_096;
/** Of one input in the corpus, and of all of one decoder. */
const KEPT_INPUT_BYTES_MAX = 512;
const KEPT_BYTES_MAX = 8_192;
/** Inputs between two looks at what has run. */
const GROUP_INPUTS = 256;
/** No decoder takes so long for a message; one that does has a loop that an input can stretch. */
const HANG_MS = 5_000;

const corpusFolder = join(packageFolder(), "test", "fuzz", "corpus");

/** A broken promise, and what breaks it again. */
export class Fault extends Error {
  override readonly name = "Fault";

  constructor(decoder: string, input: Uint8Array, cause: unknown) {
    const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    const bytes = Buffer.from(input).toString("base64");
    super(`${decoder}: ${why}\nDECODER=${decoder} INPUT=${bytes}`, { cause });
  }
}

/** The inputs of a decoder that found something once. */
export function corpusOf(decoder: Decoder): Buffer[] {
  const folder = join(corpusFolder, decoder.name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .toSorted()
    .map((file) => readFileSync(join(folder, file)));
}

/** Writes the input to the corpus, unless that has enough already. */
export function keep(decoder: Decoder, input: Uint8Array): void {
  const held = corpusOf(decoder).reduce((bytes, each) => bytes + each.length, 0);
  if (input.length > KEPT_INPUT_BYTES_MAX || held + input.length > KEPT_BYTES_MAX) return;
  const folder = join(corpusFolder, decoder.name);
  mkdirSync(folder, { recursive: true });
  const name = createHash("sha256").update(input).digest("hex").slice(0, 16);
  writeFileSync(join(folder, `${name}.bin`), input);
}

/** Throws Fault. */
export function tryInput(decoder: Decoder, input: Uint8Array): void {
  const startedAt = performance.now();
  try {
    decoder.run(Buffer.from(input));
  } catch (error) {
    throw new Fault(decoder.name, input, error);
  }
  const ms = performance.now() - startedAt;
  if (ms > HANG_MS) throw new Fault(decoder.name, input, new Error(`it took ${Math.round(ms)} ms`));
}

export class Fuzzer {
  readonly #pool: Buffer[];
  /** Inputs tried. */
  tried = 0;
  /** Inputs that reached something new. */
  found = 0;

  constructor(
    private readonly decoder: Decoder,
    private readonly random: Random,
    /** Undefined = inputs are not judged by what they reach. */
    private readonly coverage: Coverage | undefined,
    private readonly onFound: (input: Buffer) => void = () => undefined,
  ) {
    this.#pool = [...decoder.seeds.map((seed) => Buffer.from(seed)), ...corpusOf(decoder)];
    for (const input of this.#pool) tryInput(decoder, input);
    coverage?.look(true);
  }

  /** Tries a group of inputs. Throws Fault. */
  round(): void {
    const inputs = Array.from({ length: GROUP_INPUTS }, () => this.#input());
    for (const input of inputs) tryInput(this.decoder, input);
    this.tried += inputs.length;
    if (this.coverage?.look(false) === true) this.#keepNew(inputs, this.coverage);
  }

  /** Some of `inputs` reach what is new: which of them? By halves, as a look is slow. */
  #keepNew(inputs: readonly Buffer[], coverage: Coverage): void {
    for (const input of inputs) tryInput(this.decoder, input);
    const [first] = inputs;
    if (first === undefined || !coverage.look(inputs.length === 1)) return;
    if (inputs.length > 1) {
      const half = Math.ceil(inputs.length / 2);
      this.#keepNew(inputs.slice(0, half), coverage);
      this.#keepNew(inputs.slice(half), coverage);
      return;
    }
    this.found += 1;
    if (first.length <= INPUT_BYTES_MAX) this.#pool.push(first);
    this.onFound(first);
  }

  #input(): Buffer {
    const { random } = this;
    if (random.once(50)) return structuredAttack(random);
    const input = mutated(random.pick(this.#pool), random, this.#pool);
    return input.length > INPUT_BYTES_MAX ? input.subarray(0, INPUT_BYTES_MAX) : input;
  }
}
