/**
 * Damages: what can happen to one file, each by a name.
 */
import { openSync, closeSync, ftruncateSync, readSync, rmSync, statSync, writeSync } from "node:fs";

export interface Damage {
  readonly name: string;
  /** False if the file has too few bytes for it; it is then left as it is. */
  apply(path: string): boolean;
}

/** Of a file of `bytes` bytes, as a part of its length. The ends matter: heads and footers. */
const places = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1] as const;

const flips: readonly Damage[] = places.map((place) => ({
  name: `a bit flipped at ${100 * place} %`,
  apply: (path) => changeByte(path, (bytes) => Math.round(place * (bytes - 1))),
}));

/** A bit of the byte at `offset`. */
export function flipAt(offset: number): Damage {
  return { name: `a bit flipped at ${offset}`, apply: (path) => changeByte(path, () => offset) };
}

export const cuts: readonly Damage[] = [
  { name: "a byte shorter", apply: (path) => truncate(path, (bytes) => bytes - 1) },
  { name: "half as long", apply: (path) => truncate(path, (bytes) => Math.floor(bytes / 2)) },
  { name: "empty", apply: (path) => truncate(path, () => 0) },
];

export const removal: Damage = {
  name: "removed",
  apply: (path) => {
    rmSync(path);
    return true;
  },
};

export const damages: readonly Damage[] = [...flips, ...cuts, removal];

function changeByte(path: string, at: (bytes: number) => number): boolean {
  const { size } = statSync(path);
  const offset = at(size);
  if (offset >= size) return false;
  const file = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  byte[0] = byte[0]! ^ 0x04;
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
  return true;
}

function truncate(path: string, to: (bytes: number) => number): boolean {
  const { size } = statSync(path);
  if (size === 0) return false;
  const file = openSync(path, "r+");
  ftruncateSync(file, to(size));
  closeSync(file);
  return true;
}
