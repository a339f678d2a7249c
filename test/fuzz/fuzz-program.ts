/**
 * `make fuzz`: every decoder in turn for its share of SECONDS (default 60), guided by what inputs
 * reach; new ones go to the corpus, which `make test` tries again.
 *
 * SEED makes the same inputs again, DECODER=<name> takes one decoder only, and INPUT=<base64> with
 * it tries one input.
 */
import { Random } from "../hostile/random.js";
import { Coverage } from "./coverage.js";
import { decoders } from "./decoders.js";
import { corpusOf, Fault, Fuzzer, keep, tryInput } from "./fuzzer.js";

const { SECONDS, SEED, DECODER, INPUT } = process.env;
const seed = Number(SEED ?? Math.floor(Math.random() * 2 ** 31));
const seconds = Number(SECONDS ?? 60);
const chosen = decoders.filter(({ name }) => DECODER === undefined || name === DECODER);
const widths = [Math.max(...decoders.map(({ name }) => name.length)), 9, 6];

let faults = 0;
if (INPUT === undefined) fuzzAll();
else for (const decoder of chosen) guarded(() => tryInput(decoder, Buffer.from(INPUT, "base64")));
process.exitCode = faults === 0 ? 0 : 1;

function fuzzAll(): void {
  write(`${chosen.length} decoders, ${seconds} s; SEED=${seed}\n`);
  row("decoder", "inputs", "new");
  const coverage = new Coverage();
  for (const [index, decoder] of chosen.entries()) {
    guarded(() => {
      if (corpusOf(decoder).length === 0) for (const each of decoder.seeds) keep(decoder, each);
      const found = (input: Buffer): void => keep(decoder, input);
      const fuzzer = new Fuzzer(decoder, Random.at(seed, index), coverage, found);
      const end = performance.now() + (seconds * 1_000) / chosen.length;
      while (performance.now() < end) fuzzer.round();
      row(decoder.name, String(fuzzer.tried), String(fuzzer.found));
    });
  }
  write(`${coverage.size} parts of the code have run, ${faults} faults\n`);
  coverage.close();
}

function guarded(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    faults += 1;
    write(`${error.message}\n`);
    if (error.cause instanceof Error) write(`${error.cause.stack ?? ""}\n`);
  }
}

function row(name: string, tried: string, found: string): void {
  const [nameWidth = 0, triedWidth = 0, foundWidth = 0] = widths;
  write(`  ${name.padEnd(nameWidth)}${tried.padStart(triedWidth)}${found.padStart(foundWidth)}\n`);
}

function write(text: string): void {
  process.stdout.write(text);
}
