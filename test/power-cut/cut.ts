/**
 * Cut: the power of a disk goes. What was on it is read before, worked out from a trace, and
 * written back as a power cut would have left it.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { Disk, type Image } from "./disk.js";
import { changesOf } from "./trace.js";

/** What is below `root`, but for its folder `without`; nothing if it is not there. */
export async function readImage(root: string, without?: string): Promise<Image> {
  const image: Image = { files: new Map(), folders: new Set() };
  const entries = await readdir(root, { withFileTypes: true, recursive: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    },
  );
  for (const entry of entries) {
    const path = relative(root, join(entry.parentPath, entry.name));
    if (path === without || path.startsWith(`${without}/`)) continue;
    if (entry.isDirectory()) image.folders.add(path);
    else if (entry.isFile()) image.files.set(path, await readFile(join(root, path)));
  }
  return image;
}

/** Puts the image in the place of all that is below `root`, but for its folder `without`. */
export async function writeImage(root: string, image: Image, without?: string): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const name of await readdir(root)) {
    if (name !== without) await rm(join(root, name), { recursive: true });
  }
  const isOther = (path: string): boolean => path === without || path.startsWith(`${without}/`);
  for (const path of image.folders) {
    if (!isOther(path)) await mkdir(join(root, path), { recursive: true });
  }
  for (const [path, bytes] of image.files) {
    if (isOther(path)) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  }
}

export interface Cut {
  readonly root: string;
  /** What was there when the trace began. */
  readonly base: Image;
  readonly traceFile: string;
  /** Wall clock in seconds; default: after all that is in the trace. */
  readonly atSeconds?: number;
  /** With calls that never came back, as if they had been done. */
  readonly underWay?: boolean;
}

/** The disk as it was at the moment of the cut, with what was durable and what was not. */
export function diskAt(cut: Cut): Disk {
  const { root, base, traceFile, atSeconds = Infinity, underWay = false } = cut;
  const disk = new Disk(base);
  for (const { change, at, atSeconds: doneAtSeconds } of changesOf(traceFile, root, underWay)) {
    if (doneAtSeconds <= atSeconds) disk.apply(change, at);
  }
  return disk;
}

/**
 * Paths at which `found` is neither what was done for certain (`least`), nor that with what was
 * under way when its process was killed (`most`), nor, of a write under way, a part.
 */
export function untraced(found: Image, least: Image, most: Image): string[] {
  return differences(found, least).filter((path) => {
    const [bytes, from, to] = [found, least, most].map(({ files }) => files.get(path));
    if (bytes === undefined || to === undefined) return bytes !== to;
    return !bytes.equals(to) && !(from !== undefined && isBetween(bytes, from, to));
  });
}

function isBetween(bytes: Buffer, least: Buffer, most: Buffer): boolean {
  const isBegun = bytes.subarray(0, least.length).equals(least);
  return isBegun && bytes.length <= most.length && most.subarray(0, bytes.length).equals(bytes);
}

/** Paths at which two images differ. */
export function differences(one: Image, other: Image): string[] {
  const paths = new Set([...one.files.keys(), ...other.files.keys()]);
  return [...paths].filter((path) => {
    const [first, second] = [one.files.get(path), other.files.get(path)];
    return first === undefined || second === undefined || !first.equals(second);
  });
}
