/**
 * What each system call does to a disk.
 */
import { expect } from "chai";
import type { DiskChange } from "./disk.js";
import { CallReader } from "./system-call.js";
import { changeOf } from "./trace.js";

const cases: readonly (readonly [line: string, change: DiskChange | undefined])[] = [
  [
    'openat(AT_FDCWD</w>, "/d/x/a", O_RDWR|O_CREAT|O_TRUNC|O_SYNC|O_CLOEXEC, 0600) = 9</d/x/a>',
    opened({ creates: true, truncates: true, syncs: true }),
  ],
  ['openat(4</d/x>, "a", O_WRONLY|O_APPEND) = 9</d/x/a>', opened({ appends: true })],
  ['creat("/d/x/a", 0600) = 9</d/x/a>', opened({ creates: true, truncates: true })],
  ['openat(AT_FDCWD</d>, "/dx/a", O_RDWR) = 9</dx/a>', undefined],
  ['write(9</d/x/a>, "abc", 3) = 2', written("ab", undefined)],
  ['pwrite64(9</d/x/a>, "abc", 3, 70) = 3', written("abc", 70)],
  [
    'writev(9</d/x/a>, [{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=1}], 2) = 3',
    written("abc", undefined),
  ],
  ['write(9<socket:[7]>, "abc", 3) = 3', undefined],
  ['write(9</d/x/a>(deleted), "abc", 3) = 3', undefined],
  ["lseek(9</d/x/a>, -2, SEEK_END) = 5", { kind: "seek", path: "x/a", fd: 9, offset: 5 }],
  ["ftruncate(9</d/x/a>, 12) = 0", { kind: "resize", path: "x/a", length: 12 }],
  ['truncate("/d/x/a", 12) = 0', { kind: "resize", path: "x/a", length: 12 }],
  ["fallocate(9</d/x/a>, FALLOC_FL_KEEP_SIZE, 0, 4096) = 0", undefined],
  ["fsync(9</d/x>) = 0", { kind: "sync", path: "x", beganAt: 1 }],
  ["fdatasync(9</d/x/a>) = 0", { kind: "sync", path: "x/a", beganAt: 1 }],
  ['mkdirat(AT_FDCWD</w>, "/d/x", 0700) = 0', { kind: "folder", path: "x" }],
  ['unlinkat(AT_FDCWD</w>, "/d/x/a", 0) = 0', { kind: "remove", path: "x/a" }],
  ['rmdir("/d/x") = 0', { kind: "remove", path: "x" }],
  [
    'renameat(AT_FDCWD</w>, "/d/x/a", AT_FDCWD</w>, "/d/b") = 0',
    { kind: "rename", path: "x/a", to: "b" },
  ],
  ['rename("/d/x/a", "/d/b") = 0', { kind: "rename", path: "x/a", to: "b" }],
  ['link("/d/a", "/d/b") = 0', { kind: "link", path: "a", to: "b" }],
];

describe("a system call", () => {
  for (const [line, change] of cases) {
    it(`${change === undefined ? "is nothing to the disk" : "is followed"}: ${line}`, () => {
      expect(changeFor(line)).to.deep.equal(change);
    });
  }

  for (const line of [
    "fallocate(9</d/x/a>, 0, 0, 4096) = 0",
    'pwritev2(9</d/x/a>, [{iov_base="ab", iov_len=2}], 1, 0, RWF_DSYNC) = 2',
    "syncfs(9</d/x/a>) = 0",
  ]) {
    it(`that cannot be followed is refused: ${line}`, () => {
      expect(() => changeFor(line)).to.throw("this trace cannot be followed");
    });
  }
});

function changeFor(line: string): DiskChange | undefined {
  const call = new CallReader().read(`7 100.5 ${line} <0.000010>`);
  if (call === undefined) throw new Error("no call");
  return changeOf(call, "/d");
}

function opened(how: Partial<Extract<DiskChange, { kind: "open" }>>): DiskChange {
  const flags = { creates: false, truncates: false, appends: false, syncs: false, ...how };
  return { kind: "open", path: "x/a", fd: 9, ...flags };
}

function written(text: string, offset: number | undefined): DiskChange {
  return { kind: "write", path: "x/a", fd: 9, offset, data: Buffer.from(text) };
}
