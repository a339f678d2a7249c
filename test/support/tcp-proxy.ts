/**
 * A proxy between NATS clients and nats-server that fails on demand: a test can cut links, or hold
 * them without notice to either side (a black hole, as when a cable is pulled).
 *
 * The proxy knows a link by the name that its client gives in CONNECT, its first line, so faults
 * can hit some clients and not others.
 *
 * A held link delivers nothing, in one direction or both. When the test releases it, the bytes
 * arrive late, as with TCP when the cable is back. The proxy holds new links as soon as it knows
 * their names.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export type Direction = "both" | "to-server" | "from-server";

export interface TcpProxy {
  readonly port: number;
  /** Names of the links that are open; "" = not known yet. */
  names(): string[];
  /** Ends the links with such a name now. They may be made again at once. */
  cut(isMeant: (name: string) => boolean): number;
  /** Holds those links, and new ones of such a name, until the function returned is called. */
  hold(isMeant: (name: string) => boolean, direction?: Direction): () => void;
  close(): Promise<void>;
}

interface Link {
  name: string;
  readonly client: Socket;
  readonly server: Socket;
}

interface Hold {
  readonly isMeant: (name: string) => boolean;
  readonly direction: Direction;
}

/** Longer than any CONNECT; what has no end by then is no NATS client. */
const CONNECT_BYTES_MAX = 64 * 1_024;

/** Listens on a free port of this machine, for whatever serves at `serverPort`. */
export async function startTcpProxy(serverPort: number): Promise<TcpProxy> {
  const proxy = new Proxy(serverPort);
  await proxy.listen();
  return proxy;
}

class Proxy implements TcpProxy {
  readonly #links = new Set<Link>();
  readonly #holds = new Set<Hold>();
  readonly #server: Server;
  port = 0;

  constructor(private readonly serverPort: number) {
    this.#server = createServer((client) => this.#link(client));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    this.port = (this.#server.address() as AddressInfo).port;
  }

  names(): string[] {
    return Array.from(this.#links, ({ name }) => name);
  }

  cut(isMeant: (name: string) => boolean): number {
    const meant = [...this.#links].filter(({ name }) => isMeant(name));
    for (const link of meant) this.#end(link);
    return meant.length;
  }

  hold(isMeant: (name: string) => boolean, direction: Direction = "both"): () => void {
    const hold = { isMeant, direction };
    this.#holds.add(hold);
    for (const link of this.#links) this.#flow(link);
    return () => {
      if (!this.#holds.delete(hold)) return;
      for (const link of this.#links) this.#flow(link);
    };
  }

  async close(): Promise<void> {
    for (const link of this.#links) this.#end(link);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #link(client: Socket): void {
    const server = connect({ port: this.serverPort, host: "127.0.0.1", noDelay: true });
    client.setNoDelay(true);
    const link: Link = { name: "", client, server };
    this.#links.add(link);
    for (const socket of [client, server]) {
      // An error at one end looks to the other end like a closed link.
      socket.on("error", () => undefined);
      socket.on("close", () => this.#end(link));
    }
    this.#learnName(link);
    server.pipe(client);
    client.pipe(server);
    this.#flow(link);
  }

  #learnName(link: Link): void {
    let text = "";
    const look = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      const line = /^CONNECT (.*)\r\n/m.exec(text)?.[1];
      if (line === undefined && text.length < CONNECT_BYTES_MAX) return;
      link.client.off("data", look);
      link.name = line === undefined ? "" : nameIn(line);
      this.#flow(link);
    };
    link.client.on("data", look);
  }

  /** A pipe is stopped by taking it apart: its source then fills up and is read no further. */
  #flow({ name, client, server }: Link): void {
    const isHeld = (direction: Direction): boolean =>
      [...this.#holds].some((hold) => {
        return (hold.direction === "both" || hold.direction === direction) && hold.isMeant(name);
      });
    steer(client, server, isHeld("to-server"));
    steer(server, client, isHeld("from-server"));
  }

  #end(link: Link): void {
    if (!this.#links.delete(link)) return;
    link.client.destroy();
    link.server.destroy();
  }
}

function steer(from: Socket, to: Socket, isHeld: boolean): void {
  from.unpipe(to);
  if (isHeld) from.pause();
  else from.pipe(to);
}

function nameIn(json: string): string {
  try {
    const { name } = JSON.parse(json) as { readonly name?: unknown };
    return typeof name === "string" ? name : "";
  } catch {
    return ""; // no NATS client: a link without a name
  }
}
