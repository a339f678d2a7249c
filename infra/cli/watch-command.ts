/**
 * The watch command: one line a change, as it happens or from earlier on.
 */
import { InvalidArgumentError, type Command } from "commander";
import type { TimeMs } from "../../protocol/ids.js";
import { spliceJson } from "../../protocol/value/content.js";
import { parseTtl, withoutDays } from "../../protocol/value/ttl.js";
import type { ChangeEvent, EventGap, WatchOptions } from "../client/options.js";
import { storedBytesOf } from "../client/watch.js";
import { systemClock } from "../clock.js";
import type { CliContext } from "./context.js";
import { JsonText } from "./json-text.js";
import { adviseOnPrefix, jsonOption, wholeNumber } from "./option-values.js";
import { addStoreOptions, openStore } from "./store-access.js";
import { displayWidth, lineFor, printable, shownValue } from "./table.js";

const KEY_WIDTH_MAX = 40;

interface WatchFlags {
  readonly from?: WatchOptions["from"];
  readonly count?: number;
  readonly json?: true;
}

export function registerWatchCommand(root: Command, context: CliContext): void {
  const parseFrom = (text: string): WatchOptions["from"] => watchStart(text, systemClock.now());
  const command = root
    .command("watch")
    .description("print changes as they happen: operation, key, revision, value")
    .argument("[prefix]", "only keys that begin so")
    .option(
      "--from <when>",
      "now (default), beginning, a time, or 10m or 2d = so long ago",
      parseFrom,
    )
    .option("--count <n>", "end after so many changes", wholeNumber)
    .addOption(jsonOption("print each change as a line of JSON"));
  addStoreOptions(command).action(async (prefix: string | undefined, flags: WatchFlags) => {
    adviseOnPrefix(prefix, context);
    const { db } = await openStore(context, command);
    const watch = db.watch<unknown>({
      ...(prefix === undefined ? {} : { prefix }),
      ...(flags.from === undefined ? {} : { from: flags.from }),
      onGap: (gap) => context.stderr(gapLine(gap)),
    });
    // A reader that is gone is seen at once, not at the next change.
    for (const signal of [context.stopping, context.outFailed]) {
      signal?.addEventListener("abort", () => watch.stop(), { once: true });
    }
    await watch.ready;
    context.stderr(`watching from ${shownStart(flags.from)}; Ctrl-C ends it\n`);
    await writeEvents(watch, flags, context);
  });
}

/** Prints until the events end, or `count` are out. */
async function writeEvents(
  events: AsyncIterable<ChangeEvent<unknown>>,
  { count, json }: Pick<WatchFlags, "count" | "json">,
  { out, columns }: Pick<CliContext, "out" | "columns">,
): Promise<void> {
  let left = count ?? Infinity;
  if (left === 0) return;
  const lines = new EventLines();
  for await (const event of events) {
    await out(`${json === true ? eventJson(event) : lines.of(event, columns)}\n`);
    left -= 1;
    if (left === 0) return;
  }
}

/** Events in columns, which grow with what came: what will come is not known. */
class EventLines {
  #keyWidth = 12;
  #revisionWidth = 4;

  of(event: ChangeEvent<unknown>, columns: number | undefined): string {
    const isReset = event.op === "reset";
    const what = isReset ? `position ${event.position}: history is gone` : printable(event.key);
    const revision = String(event.revision);
    const width = displayWidth(what);
    // One long key does not push all that follow to the right.
    if (width <= KEY_WIDTH_MAX) this.#keyWidth = Math.max(this.#keyWidth, width);
    this.#revisionWidth = Math.max(this.#revisionWidth, revision.length);
    const gap = " ".repeat(Math.max(this.#keyWidth - width, 0));
    const head = `${event.op.padEnd(6)}  ${what}${gap}  ${revision.padStart(this.#revisionWidth)}`;
    return lineFor(event.op === "set" ? `${head}  ${shownStored(event)}` : head, columns);
  }
}

function shownStart(from: WatchOptions["from"]): string {
  return from instanceof Date ? from.toISOString() : String(from ?? "now");
}

type SetEvent = Extract<ChangeEvent<unknown>, { readonly op: "set" }>;

/** A value for people: JSON as its text, in which no number is rounded. */
function shownStored(event: SetEvent): string {
  const stored = storedBytesOf(event);
  const isJson = event.contentType === "application/json" && stored !== undefined;
  return isJson ? JsonText.of(stored).shown : shownValue(event.value);
}

/** One line, the value as its stored text. */
function eventJson(event: ChangeEvent<unknown>): string {
  const { op, key, revision, position } = event;
  const base = { op, key, revision, position, updated_at: event.updatedAt.toISOString() };
  const stored = storedBytesOf(event);
  if (event.op !== "set" || stored === undefined) return JSON.stringify(base);
  const { contentType, expiresAt } = event;
  const isJson = contentType === "application/json";
  const value = `,${spliceJson(stored, contentType)}`.replace(/[\r\n]/g, " ");
  const type = isJson ? `,"content_type":"${contentType}"` : "";
  const expires = expiresAt === undefined ? "" : `,"expires_at":"${expiresAt.toISOString()}"`;
  return `${JSON.stringify(base).slice(0, -1)}${value}${type}${expires}}`;
}

function gapLine({ position, revisionExpected, revision }: EventGap): string {
  return (
    `gap: position ${position} goes on with revision ${revision} where ${revisionExpected} was ` +
    "due; what happened between is no longer kept, so read its keys again\n"
  );
}

/** `now`, `beginning`, RFC 3339, or a duration ago. */
function watchStart(text: string, nowMs: TimeMs): WatchOptions["from"] {
  if (text === "now" || text === "beginning") return text;
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const time = new Date(text);
    if (!Number.isNaN(time.getTime())) return time;
  } else if (text !== "never") {
    try {
      return new Date(nowMs - Number(parseTtl(withoutDays(text))));
    } catch {
      // The one message below says all that is allowed.
    }
  }
  throw new InvalidArgumentError(
    "It must be now, beginning, a time like 2026-01-31T12:00:00Z, or so long ago: 10m, 2d.",
  );
}
