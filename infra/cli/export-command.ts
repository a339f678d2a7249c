/**
 * The export command: every record as a line of JSON, in the order of keys, as load takes them.
 *
 * Each page of keys is read by itself, so a record that changes meanwhile is written as it is when
 * its page is read; one that is deleted before is left out. Not a picture of one instant.
 *
 * A value comes back byte for byte: JSON as its source text, unless that has line ends (NDJSON has
 * one record a line), and all that JSON cannot tell exactly as base64.
 */
import { isUtf8 } from "node:buffer";
import type { Command } from "commander";
import { PAGE_ROWS_MAX } from "../../protocol/limits.js";
import { ops, type Ringdex } from "../client/client.js";
import type { Entry, KeysOptions, ReadLevel } from "../client/options.js";
import type { CliContext } from "./context.js";
import { adviseOnPrefix, readOption } from "./option-values.js";
import { addStoreOptions, openStore } from "./store-access.js";

/** Records read at once: with the largest values 32 MiB. */
const RECORDS_MAX = 128;

type ExportStore = Pick<Ringdex<unknown>, "keys" | "batch">;

export function registerExportCommand(root: Command, context: CliContext): void {
  const command = root
    .command("export")
    .description('write every record as a line of JSON, for "ringdex load"')
    .argument("[prefix]", "only keys that begin so")
    .addOption(readOption())
    .addHelpText("after", "\nExample:\n  ringdex export > all.ndjson\n");
  addStoreOptions(command).action(
    async (prefix: string | undefined, { read }: { readonly read?: ReadLevel }) => {
      adviseOnPrefix(prefix, context);
      const { db } = await openStore(context, command);
      const count = await exportRecords(db, context.out, {
        ...(prefix === undefined ? {} : { prefix }),
        ...(read === undefined ? {} : { read }),
      });
      context.stderr(`exported ${count} records\n`);
    },
  );
}

/** Resolves with how many records were written. */
async function exportRecords(
  store: ExportStore,
  out: CliContext["out"],
  options: Pick<KeysOptions, "prefix" | "read">,
): Promise<number> {
  let count = 0;
  const write = async (keys: readonly string[]): Promise<void> => {
    const read = options.read === undefined ? {} : { read: options.read };
    const gets = keys.map((key) => ops.get<Uint8Array>(key, { ...read, as: "bytes" }));
    let lines = "";
    for (const outcome of await store.batch(gets)) {
      if (!outcome.ok) throw outcome.error;
      // Undefined = deleted since its key was read.
      if (outcome.result === undefined) continue;
      lines += `${exportLine(outcome.result)}\n`;
      count += 1;
    }
    await out(lines);
  };
  let keys: string[] = [];
  for await (const key of store.keys({ ...options, pageSize: PAGE_ROWS_MAX })) {
    keys.push(key);
    if (keys.length < RECORDS_MAX) continue;
    await write(keys);
    keys = [];
  }
  if (keys.length > 0) await write(keys);
  return count;
}

export function exportLine(entry: Entry<Uint8Array>): string {
  const { key, contentType, revision, updatedAt, expiresAt } = entry;
  const type = contentType === "application/json" ? "" : `,"content_type":"${contentType}"`;
  const expires = expiresAt === undefined ? "" : `,"expires_at":"${expiresAt.toISOString()}"`;
  return (
    `{"key":${JSON.stringify(key)},${valueMember(entry)}${type},"revision":${revision},` +
    `"updated_at":"${updatedAt.toISOString()}"${expires}}`
  );
}

function valueMember({ value, contentType }: Entry<Uint8Array>): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  // White space around a value belongs to the value, but would be cut off when read again.
  const isCut = bytes.length === 0 || bytes[0]! <= 0x20 || bytes.at(-1)! <= 0x20;
  const isOneLine = !bytes.includes(0x0a) && !bytes.includes(0x0d);
  if (contentType === "application/json" && isOneLine && !isCut) {
    return `"value":${bytes.toString()}`;
  }
  if (contentType === "text/plain" && isUtf8(bytes)) {
    return `"value":${JSON.stringify(bytes.toString())}`;
  }
  return `"value_base64":"${bytes.toString("base64")}"`;
}
