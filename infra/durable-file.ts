/**
 * Durable file: a small file that is written once and must be whole after a power cut.
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
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
