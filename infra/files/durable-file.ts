/**
 * Durable file: small files that are written once and must be whole after a power cut, and names
 * that must be what they were.
 */
import { open, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes the text to a file beside it and gives that one its name, so that nobody ever sees half of
 * it. The bytes are synced before the name is, or a power cut may leave the name of an empty file;
 * the name is synced too, or it may leave none.
 */
export async function writeDurably(file: string, text: string): Promise<void> {
  const draft = `${file}.new`;
  await writeFile(draft, text, { flush: true });
  await rename(draft, file);
  await syncNames(dirname(file));
}

/** Makes what was created, renamed and removed in a folder durable. */
export async function syncNames(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
