/**
 * Lines of strace, read back into calls.
 */
import { expect } from "chai";
import { CallReader, decodeText, parseArguments, type SystemCall } from "./system-call.js";

describe("lines of strace", () => {
  it("are calls, with arguments, result and the moment at which they came back", () => {
    const line = '7 100.250000 pwrite64(12</d/1.blk>, "ab\\n", 3, 40) = 3 <0.500000>';
    expect(callsOf([line])).to.deep.equal([
      {
        name: "pwrite64",
        arguments: [
          { kind: "descriptor", fd: 12, path: "/d/1.blk" },
          { kind: "text", escaped: "ab\\n" },
          { kind: "word", word: "3" },
          { kind: "word", word: "40" },
        ],
        result: 3,
        beganAtLine: 1,
        endedAtLine: 1,
        endedAtSeconds: 100.75,
      },
    ]);
  });

  it("are put together where another thread made a call in between", () => {
    const calls = callsOf([
      "7 100.1 fsync(12</d/1.blk> <unfinished ...>",
      '8 100.2 write(3</d/x>, "a", 1) = 1 <0.0>',
      "7 100.3 <... fsync resumed>) = 0 <0.200000>",
    ]);
    expect(calls.map(({ name }) => name)).to.deep.equal(["write", "fsync"]);
    expect(calls[1]).to.deep.include({ beganAtLine: 1, endedAtLine: 3, endedAtSeconds: 100.3 });
  });

  it("are left out where the call never came back", () => {
    const killed = [
      "7 100.1 fsync(12</d/1.blk> <unfinished ...>",
      "7 100.2 +++ killed by SIGKILL +++",
    ];
    expect(callsOf(killed)).to.deep.equal([]);
    expect(callsOf(["7 100.1 fsync(12</d/1.blk>) = ?"])).to.deep.equal([]);
  });

  it("are told apart where they may have been done when their process was killed", () => {
    const reader = new CallReader();
    const lines = [
      '7 100.1 write(3</d/x>, "ab", 2 <unfinished ...>',
      "7 100.2 <... write resumed>) = ?",
    ];
    expect(lines.map((line) => reader.read(line))).to.deep.equal([undefined, undefined]);
    expect(reader.underWay.map(({ name }) => name)).to.deep.equal(["write"]);
  });

  it("are told apart too where the trace ends before they do", () => {
    const reader = new CallReader();
    expect(reader.read('7 100.1 unlink("/d/x" <unfinished ...>')).to.equal(undefined);
    expect(reader.underWay).to.have.lengthOf(1);
    expect(reader.underWay[0]).to.deep.include({
      name: "unlink",
      arguments: [{ kind: "text", escaped: "/d/x" }],
      result: Number.NaN,
    });
  });

  it("say that a call failed", () => {
    const line = '7 1.0 unlinkat(AT_FDCWD</w>, "/d/a", 0) = -1 ENOENT (No such file) <0.000050>';
    const [call] = callsOf([line]);
    expect(call?.result).to.equal(-1);
    expect(call?.arguments[0]).to.deep.equal({ kind: "descriptor", fd: -100, path: "/w" });
  });

  it("that are not wanted are not read, and those that resume them neither", () => {
    const lines = [
      "7 100.1 fsync(12</elsewhere> <unfinished ...>",
      "7 100.3 <... fsync resumed>) = 0 <0.2>",
    ];
    expect(callsOf(lines, (text) => text.includes("/d/"))).to.deep.equal([]);
  });
});

describe("arguments of a call", () => {
  it("hold strings whole, whatever is in them", () => {
    const [text] = parseArguments(String.raw`"a\", 3</x>) = 1 \\", 5`);
    expect(text).to.deep.equal({ kind: "text", escaped: String.raw`a\", 3</x>) = 1 \\` });
  });

  it("hold the strings of a list of buffers", () => {
    const found = parseArguments(
      '3</d/x>, [{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=1}], 2',
    );
    const texts = found.flatMap((one) => (one.kind === "text" ? [one.escaped] : []));
    expect(texts).to.deep.equal(["ab", "c"]);
  });

  it("are refused where strace cut a string off", () => {
    expect(() => parseArguments('3</d/x>, "ab"..., 200')).to.throw("give -s more");
  });
});

describe("a string of strace", () => {
  it("stands for the bytes that C would make of it", () => {
    expect([...decodeText(String.raw`a\n\t\"\\\0\33\1771\3771`)]).to.deep.equal([
      97, 10, 9, 34, 92, 0, 27, 127, 49, 255, 49,
    ]);
  });
});

function callsOf(lines: readonly string[], isWanted?: (text: string) => boolean): SystemCall[] {
  const reader = new CallReader();
  return lines.flatMap((line) => reader.read(line, isWanted) ?? []);
}
