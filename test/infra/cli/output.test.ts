/**
 * Output: a disk that gets full, a reader that is slow, and one that is gone; alone, and as the
 * program meets them.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { FileSink, Output, OutputFailed, StreamSink } from "../../../infra/cli/output.js";
import { failure } from "../../support/failure.js";

const program = fileURLToPath(new URL("../../../infra/cli/ringdex.js", import.meta.url));

describe("output", () => {
  it("writes on where a file has taken a part", async () => {
    const taken: number[] = [];
    const output = new Output(
      new FileSink((bytes) => {
        const count = Math.min(bytes.length, 3);
        taken.push(...bytes.subarray(0, count));
        return count;
      }),
    );
    await output.write("12345678");
    await output.end();
    expect(Buffer.from(taken).toString()).to.equal("12345678");
  });

  it("says that the disk is full, at once and whenever it is asked again", async () => {
    let isFull = true;
    const output = new Output(
      new FileSink((bytes) => {
        if (isFull) throw Object.assign(new Error("ENOSPC: no space"), { code: "ENOSPC" });
        return bytes.length;
      }),
    );
    expect(String(await failure(output.write("a")))).to.match(/its disk is full.*cut/);
    expect(output.failed.aborted).to.equal(true);
    isFull = false;
    expect(await failure(output.end())).to.be.instanceOf(OutputFailed);
    expect(await failure(output.write("b"))).to.be.instanceOf(OutputFailed);
  });

  it("waits for a reader that is slow", async () => {
    let take: (() => void) | undefined;
    const stream = new Writable({
      highWaterMark: 4,
      write: (_chunk, _encoding, done) => void (take = done),
    });
    const output = new Output(new StreamSink(stream));
    await output.write("abc");
    let hasRoom = false;
    const written = output.write("defg").then(() => (hasRoom = true));
    await new Promise(setImmediate);
    expect(hasRoom).to.equal(false);
    take?.();
    await new Promise(setImmediate);
    take?.();
    await written;
  });

  it("tells a reader that is gone from a failure", async () => {
    const error = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
    const stream = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => void setImmediate(done, error),
    });
    const output = new Output(new StreamSink(stream));
    const gone = await failure(output.write("abc"));
    expect(gone).to.be.instanceOf(OutputFailed).and.include({ isClosed: true });
  });
});

describe("the program's output", function () {
  this.timeout(20_000);

  it("on a full disk is one line on stderr and exit code 8", async function () {
    if (process.platform !== "linux") this.skip();
    for (const argumentList of [["nats-conf"], ["--help"], ["--version"]]) {
      const full = openSync("/dev/full", "w");
      const child = spawn(process.execPath, [program, ...argumentList], {
        stdio: ["ignore", full, "pipe"],
      });
      closeSync(full);
      let stderr = "";
      child.stderr?.on("data", (chunk) => (stderr += String(chunk)));
      const [code] = (await once(child, "close")) as [number];
      expect(stderr).to.match(/^ringdex: the output could not be written: .*disk is full.*\n$/);
      expect(code).to.equal(8);
    }
  });

  it("ends quietly when its reader has seen enough", async () => {
    const child = spawn(process.execPath, [program, "nats-conf"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += String(chunk)));
    const [code] = (await once(child, "close")) as [number];
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
  });
});
