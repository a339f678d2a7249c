/**
 * Makes a folder and those on the way to it, and says what stands in the way.
 *
 * Not fs.mkdir with `recursive`: where a folder can have no children (below /proc) Node 20 tries
 * for ever, at full speed.
 */
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** One that is there is no error. Rejects with the system's error else. */
export async function makeFolder(folder: string): Promise<void> {
  const above = dirname(folder);
  if (above !== folder && !(await isThere(above))) await makeFolder(above);
  try {
    await mkdir(folder);
  } catch (error) {
    const isFolder = await stat(folder)
      .then((found) => found.isDirectory())
      .catch(() => false);
    if (!isFolder) throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path)
    .then(() => true)
    .catch(() => false);
}

const another = "or choose another folder";
const advice: Readonly<Record<string, string>> = {
  EACCES: `let the user of this process write there, ${another}`,
  EPERM: `let the user of this process write there, ${another}`,
  EROFS: `its file system is mounted read-only; mount it for writing, ${another}`,
  ENOSPC: `its disk is full; make room, ${another}`,
  EDQUOT: `its disk is full; make room, ${another}`,
  ENOENT: "no folder can be made there; choose another one",
  ENOTDIR: "a file stands in the way; choose another folder",
  EEXIST: "a file stands in the way; choose another folder",
};

/** Why nothing can be written below `folder`, and what to do; undefined = another error. */
export function unwritable(folder: string, error: unknown): string | undefined {
  const { code = "" } = error as NodeJS.ErrnoException;
  const text = advice[code];
  return text && `cannot write in ${folder} (${code}): ${text}`;
}
