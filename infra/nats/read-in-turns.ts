/**
 * Lets a connection with much to read take turns with the others of its process.
 *
 * libuv reads a socket up to 32 times before it looks at the next one, and nats.js handles at once
 * all that was read: with requests waiting, that is 2 MB, some 15,000 of them. Meanwhile no
 * acknowledgement of an entry is seen and no ping answered, for as long as seconds on a busy
 * machine. So here reading pauses after each large chunk until the event loop has been round.
 * After a small one there is nothing more to read.
 *
 * The socket is a field of nats.js that its documentation does not name; package.json pins the
 * version, and it is asserted that the field is there.
 */
import type { Socket } from "node:net";
import type { NatsConnection } from "nats";
import { assert } from "../../protocol/assert.js";
import type { Clock } from "../clock.js";

/** A read brings 64 KB if there is as much, and through TLS a record of this. */
const CHUNK_BYTES = 16 * 1_024;

/** Of the connection's present socket: to be called again after each reconnect. */
export function readInTurns(connection: NatsConnection, clock: Clock): void {
  const { protocol } = connection as unknown as {
    readonly protocol?: { readonly transport?: { readonly socket?: Socket } };
  };
  const socket = protocol?.transport?.socket;
  assert(socket !== undefined, "nats.js is pinned to a version whose transport keeps its socket");
  if (taken.has(socket)) return;
  taken.add(socket);
  socket.on("data", ({ length }: Buffer) => {
    if (length < CHUNK_BYTES) return;
    socket.pause();
    clock.soon(() => socket.resume());
  });
}

const taken = new WeakSet<Socket>();
