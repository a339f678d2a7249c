/**
 * Reading in turns, on a socket that has much to read.
 */
import { expect } from "chai";
import { PassThrough } from "node:stream";
import type { NatsConnection } from "nats";
import { systemClock } from "../../../infra/clock.js";
import { readInTurns } from "../../../infra/nats/read-in-turns.js";
import { InvariantError } from "../../../protocol/assert.js";
import { until } from "../../support/until.js";

const CHUNKS = 20;
const LARGE = 16 * 1_024;

describe("reading in turns", () => {
  it("takes one chunk, and the next one when the event loop has been round", async () => {
    const rounds: (() => void)[] = [];
    const clock = { ...systemClock, soon: (task: () => void) => void rounds.push(task) };
    const socket = new PassThrough({ highWaterMark: 1 });
    const received: string[] = [];
    socket.on("data", (chunk: Buffer) => void received.push(chunk.toString()));
    // Twice: a second call for the same socket must not make it wait for two rounds.
    readInTurns(connectionOf(socket), clock);
    readInTurns(connectionOf(socket), clock);
    const sent = Array.from({ length: CHUNKS }, (_, index) => `chunk ${index}`.padEnd(LARGE));
    for (const chunk of sent) socket.write(chunk);
    for (let count = 1; count <= CHUNKS; count += 1) {
      await until(() => received.length >= count);
      expect(socket.isPaused()).to.equal(true);
      expect(received.length).to.equal(count);
      expect(rounds.length).to.equal(1);
      rounds.pop()?.();
    }
    expect(received).to.deep.equal(sent);
  });

  it("lets small chunks pass: there is no more to read", async () => {
    const socket = new PassThrough();
    const received: string[] = [];
    socket.on("data", (chunk: Buffer) => void received.push(chunk.toString()));
    const clock = { ...systemClock, soon: () => expect.fail("nothing was to wait for") };
    readInTurns(connectionOf(socket), clock);
    for (const chunk of ["a", "b", "c"]) socket.write(chunk);
    await until(() => received.join("") === "abc");
    expect(socket.isPaused()).to.equal(false);
  });

  it("says so when nats.js keeps its socket elsewhere", () => {
    const connection = {} as NatsConnection;
    expect(() => readInTurns(connection, systemClock)).to.throw(InvariantError, "pinned");
  });
});

function connectionOf(socket: unknown): NatsConnection {
  return { protocol: { transport: { socket } } } as unknown as NatsConnection;
}
