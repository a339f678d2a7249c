/**
 * The batch command: operations from a file, as kv.batch takes them or one a line.
 *
 * The operations' text goes to the store as it stands in the file, so values are stored as they
 * were written. NDJSON of any length is sent as several batches, one after another; a whole
 * kv.batch document is sent as it is.
 */
import { createReadStream } from "node:fs";
import type { Command } from "commander";
import { v7 as uuidV7 } from "uuid";
import { KvError } from "../../protocol/errors.js";
import { membersOf } from "../../protocol/json-members.js";
import { ATOMIC_BYTES_MAX, BATCH_OPERATIONS_MAX } from "../../protocol/limits.js";
import type { CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import { jsonOption } from "./option-values.js";
import { readElements, type FileElement } from "./records-file.js";
import { addStoreOptions, openStore, type Ask, type Body } from "./store-access.js";
import { lineFor, shownValue } from "./table.js";

/** Operations of one batch out of many lines; leaves its reply room for long keys. */
const LINES_MAX = 500;

interface BatchFlags {
  readonly atomic?: true;
  readonly json?: true;
}

export function registerBatchCommand(root: Command, context: CliContext): void {
  const command = root
    .command("batch")
    .description("do many operations: a kv.batch document, or one operation a line")
    .argument("[file]", '"-" or nothing = stdin', "-")
    .option("--atomic", "all or none; the keys share a {tag}, and it is one batch")
    .addOption(jsonOption("print each outcome as a line of JSON"))
    .addHelpText("after", batchHelp);
  addStoreOptions(command).action(async (file: string, flags: BatchFlags) => {
    const input = file === "-" ? context.stdin : createReadStream(file);
    const elements = readElements(bytesOf(input, file));
    const { ask } = await openStore(context, command);
    await runBatch(elements, ask, flags, context);
  });
}

const batchHelp = `
Operations: {"op":"set","key":"a","value":1} {"op":"del","key":"b"} {"op":"get","key":"c"}, and
patch, incr, touch, check with the members that docs/protocol.md names.
If some are refused the exit code is 7; the others have taken effect.
`;

/** An operation of which only what is looked at here is read. */
type Element = FileElement & { readonly source: Uint8Array };

export async function runBatch(
  pieces: AsyncIterable<readonly FileElement[]>,
  ask: Ask,
  flags: BatchFlags,
  context: Pick<CliContext, "out" | "columns" | "exit">,
): Promise<void> {
  let waiting: Element[] = [];
  let bytes = 0;
  let [doneCount, refusedCount] = [0, 0];
  const send = async (): Promise<void> => {
    if (waiting.length === 0) return;
    const payload = payloadOf(waiting, flags.atomic === true);
    const outcomes = outcomesOf(await sendBatch(ask, payload));
    for (const outcome of outcomes) context.out(outcomeLine(outcome, flags, context.columns));
    const refused = outcomes.filter(isRefusal).length;
    doneCount += outcomes.length - refused;
    refusedCount += refused;
    [waiting, bytes] = [[], 0];
  };
  for await (const elements of pieces) {
    for (const { source, line, end } of elements) {
      if (source === undefined) throw new CommandFailed("usage", `line ${line} is too long`);
      const isFull = waiting.length >= LINES_MAX || bytes + source.length > ATOMIC_BYTES_MAX;
      if (isFull && flags.atomic !== true) await send();
      checkElement(source, line);
      waiting.push({ source, line, end });
      bytes += source.length;
      checkAtomicCount(waiting.length, flags);
    }
  }
  await send();
  if (refusedCount > 0) context.exit(doneCount > 0 ? "partial" : "failed");
}

function checkElement(source: Uint8Array, line: number): void {
  try {
    membersOf(source);
  } catch (cause) {
    if (!(cause instanceof KvError)) throw cause;
    const text = `line ${line} is no operation: ${cause.message}; what stands before is done`;
    throw new CommandFailed("usage", text, { cause });
  }
}

function checkAtomicCount(count: number, { atomic }: BatchFlags): void {
  if (atomic !== true || count <= BATCH_OPERATIONS_MAX) return;
  const text = `an atomic batch has at most ${BATCH_OPERATIONS_MAX} operations; nothing was done`;
  throw new CommandFailed("usage", text);
}

/** A single document with "ops" is the batch itself. */
function payloadOf(elements: readonly Element[], atomic: boolean): Uint8Array {
  const [first] = elements;
  if (elements.length === 1 && first !== undefined && membersOf(first.source).has("ops")) {
    return first.source;
  }
  const texts = elements.map(({ source }) => Buffer.from(source).toString());
  return Buffer.from(`{"ops":[${texts.join(",")}]${atomic ? ',"atomic":true' : ""}}`);
}

function sendBatch(ask: Ask, payload: Uint8Array): Promise<Body> {
  // With an id it takes effect once, however often it is sent.
  const headers = [["Kv-Request-Id", uuidV7()]] as const;
  return ask("batch", payload, { headers, isWrite: true });
}

function outcomesOf(body: Body): readonly Body[] {
  const outcomes = body["outcomes"];
  if (Array.isArray(outcomes)) return outcomes as Body[];
  throw new KvError("internal", "the reply to a batch has no outcomes");
}

function isRefusal(outcome: Body): boolean {
  return "error" in outcome;
}

function outcomeLine(outcome: Body, { json }: BatchFlags, columns: number | undefined): string {
  if (json === true) return `${JSON.stringify(outcome)}\n`;
  if (isRefusal(outcome)) {
    const { kind, message } = KvError.fromBody(outcome["error"]);
    return `${lineFor(`${kind}: ${message}`, columns)}\n`;
  }
  const { key, revision, ...rest } = outcome;
  delete rest["type"];
  delete rest["position"];
  const told = Object.entries(rest).map(([name, value]) => `${name}=${shownValue(value)}`);
  return `${lineFor([key, revision ?? "-", ...told].map(String).join("  "), columns)}\n`;
}

async function* bytesOf(
  input: NodeJS.ReadableStream,
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of input) yield Buffer.from(chunk);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailed("usage", `cannot read ${file}: ${why}`, { cause });
  }
}
