/**
 * The batch command: operations from a file, as kv.batch takes them or one a line.
 *
 * The operations' text goes to the store as it stands in the file, so values are stored as they
 * were written. NDJSON of any length is sent as several batches, one after another; a whole
 * kv.batch document is sent as it is.
 */
import { createReadStream } from "node:fs";
import type { Command } from "commander";
import { KvError } from "../../protocol/errors.js";
import {
  ATOMIC_BYTES_MAX,
  BATCH_OPERATIONS_MAX,
  PAYLOAD_BYTES_MAX,
} from "../../protocol/limits.js";
import { membersOf } from "../../protocol/value/json-members.js";
import { newRequestId } from "../client/request-ids.js";
import type { CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import type { JsonText } from "./json-text.js";
import { announceStdin, jsonOption } from "./option-values.js";
import { readElements } from "./records-file.js";
import { addStoreOptions, openStore, type AskText } from "./store-access.js";
import { lineFor } from "./table.js";
import { unreadableFile } from "./unreadable-file.js";

/** Operations of one batch out of many lines; leaves its reply room for long keys. */
const LINES_MAX = 500;
/** Bytes of these; a longer line is a batch of its own. */
const BATCH_BYTES_MAX = PAYLOAD_BYTES_MAX / 2;

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
    const { askText } = await openStore(context, command);
    if (file === "-") announceStdin(context, "operations");
    await runBatch(bytesOf(input, file), askText, flags, context);
  });
}

const batchHelp = `
Operations: {"op":"set","key":"a","value":1} {"op":"del","key":"b"} {"op":"get","key":"c"}, and
patch, incr, touch, check with the members that docs/protocol.md names.
If some are refused the exit code is 7; the others have taken effect.
`;

/** Does what the input says, a batch after the other. */
export async function runBatch(
  input: AsyncIterable<Uint8Array>,
  askText: AskText,
  flags: BatchFlags,
  context: Pick<CliContext, "out" | "columns" | "exit">,
): Promise<void> {
  let [doneCount, refusedCount] = [0, 0];
  for await (const payload of payloads(input, flags.atomic === true)) {
    const outcomes = outcomesOf(await sendBatch(askText, payload));
    await context.out(
      outcomes.map((outcome) => outcomeLine(outcome, flags, context.columns)).join(""),
    );
    const refused = outcomes.filter(isRefusal).length;
    doneCount += outcomes.length - refused;
    refusedCount += refused;
  }
  if (refusedCount > 0) context.exit(doneCount > 0 ? "partial" : "failed");
}

/** The payloads of the batches that an input makes. */
async function* payloads(
  input: AsyncIterable<Uint8Array>,
  atomic: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { head, all } = await withHead(input);
  const members = head === undefined ? undefined : membersIfObject(head);
  if (head !== undefined && members?.has("ops") === true) {
    if (!atomic) return yield head;
    const text = 'a kv.batch document says itself whether it is "atomic"; leave --atomic out';
    throw new CommandFailed("usage", text);
  }
  let sources: Uint8Array[] = [];
  let bytes = 0;
  for await (const elements of readElements(all)) {
    for (const { source, line } of elements) {
      checkOperation(source, line, atomic);
      const isFull = sources.length >= LINES_MAX || bytes + source.length > BATCH_BYTES_MAX;
      if (isFull && !atomic) {
        yield payloadOf(sources, atomic);
        [sources, bytes] = [[], 0];
      }
      sources.push(source);
      bytes += source.length;
      if (atomic) checkAtomicSize(sources.length, bytes);
    }
  }
  if (sources.length > 0) yield payloadOf(sources, atomic);
}

/** `head`: the whole input, if it is no longer than a message; `all`: the same from the start. */
async function withHead(input: AsyncIterable<Uint8Array>): Promise<{
  readonly head: Uint8Array | undefined;
  readonly all: AsyncIterable<Uint8Array>;
}> {
  const pieces: Uint8Array[] = [];
  const iterator = input[Symbol.asyncIterator]();
  let size = 0;
  let isAtEnd = false;
  while (!isAtEnd && size <= PAYLOAD_BYTES_MAX) {
    const next = await iterator.next();
    isAtEnd = next.done === true;
    if (next.done === true) break;
    pieces.push(next.value);
    size += next.value.length;
  }
  async function* all(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* pieces;
    if (!isAtEnd) yield* { [Symbol.asyncIterator]: () => iterator };
  }
  return { head: isAtEnd ? Buffer.concat(pieces) : undefined, all: all() };
}

function membersIfObject(json: Uint8Array): ReadonlyMap<string, unknown> | undefined {
  try {
    return membersOf(json);
  } catch (error) {
    if (error instanceof KvError) return undefined; // several lines, each its own document
    throw error;
  }
}

/** The store judges operations; that it is an object keeps one line from breaking the others. */
function checkOperation(
  source: Uint8Array | undefined,
  line: number,
  atomic: boolean,
): asserts source is Uint8Array {
  const done = atomic ? "nothing was done" : "at most what stands before it was done";
  const isObject = source !== undefined && membersIfObject(source) !== undefined;
  if (isObject) return;
  const form = 'an operation like {"op":"set","key":"a","value":1}, on one line';
  throw new CommandFailed("usage", `line ${line} is not ${form}; ${done}`);
}

function checkAtomicSize(count: number, bytes: number): void {
  if (count <= BATCH_OPERATIONS_MAX && bytes <= PAYLOAD_BYTES_MAX) return;
  const limit = `${BATCH_OPERATIONS_MAX} operations and ${ATOMIC_BYTES_MAX} bytes`;
  throw new CommandFailed("usage", `an atomic batch has at most ${limit}; nothing was done`);
}

function payloadOf(sources: readonly Uint8Array[], atomic: boolean): Uint8Array {
  const texts = sources.map((source) => Buffer.from(source).toString());
  return Buffer.from(`{"ops":[${texts.join(",")}]${atomic ? ',"atomic":true' : ""}}`);
}

function sendBatch(askText: AskText, payload: Uint8Array): Promise<JsonText> {
  // With an id it takes effect once, however often it is sent.
  const headers = [["Kv-Request-Id", newRequestId()]] as const;
  return askText("batch", payload, { headers, isWrite: true });
}

function outcomesOf(reply: JsonText): readonly JsonText[] {
  const outcomes = reply.members().get("outcomes");
  if (outcomes !== undefined) return outcomes.elements();
  throw new KvError("internal", "the reply to a batch has no outcomes");
}

function isRefusal(outcome: JsonText): boolean {
  return outcome.members().has("error");
}

const notShown = ["key", "revision", "type", "position"];

function outcomeLine(outcome: JsonText, { json }: BatchFlags, columns: number | undefined): string {
  if (json === true) return `${outcome.line}\n`;
  const members = outcome.members();
  const error = members.get("error");
  if (error !== undefined) {
    const { kind, message } = KvError.fromBody(error.parsed);
    return `${lineFor(`${kind}: ${message}`, columns)}\n`;
  }
  const told = [...members]
    .filter(([name]) => !notShown.includes(name))
    .map(([name, value]) => `${name}=${value.shown}`);
  // Null = there is none: nothing was written.
  const revision = members.get("revision")?.parsed ?? "-";
  const head = [members.get("key")?.shown, revision].map(String);
  return `${lineFor([...head, ...told].join("  "), columns)}\n`;
}

async function* bytesOf(
  input: NodeJS.ReadableStream,
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of input) yield Buffer.from(chunk);
  } catch (cause) {
    throw unreadableFile(file, cause);
  }
}
