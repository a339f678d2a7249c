/**
 * A disk so small that it is soon full: a file system in memory. Only root may mount one, and only
 * on Linux.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";

export interface SmallDisk {
  grow(megabytes: number): void;
  makeReadOnly(): void;
  unmount(): void;
}

/** Undefined where it is not allowed. Makes the folder. */
export function mountSmallDisk(folder: string, megabytes: number): SmallDisk | undefined {
  mkdirSync(folder, { recursive: true });
  const run = (file: string, ...argumentList: string[]): void => {
    execFileSync(file, argumentList, { stdio: "ignore" });
  };
  try {
    run("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder);
  } catch {
    return undefined; // told by the caller, who skips
  }
  return {
    grow: (to) => run("mount", "-o", `remount,size=${to}m`, folder),
    makeReadOnly: () => run("mount", "-o", "remount,ro", folder),
    unmount: () => run("umount", folder),
  };
}
