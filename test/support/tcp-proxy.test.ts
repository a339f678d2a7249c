/**
 * The proxy between two sockets of this process, and what faults do to a link.
 */
import { expect } from "chai";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.js";
import { until } from "./until.js";

/** Each end keeps what it got. */
class End {
  got = "";
  isClosed = false;

  constructor(readonly socket: Socket) {
    socket.setEncoding("utf8").on("data", (text) => (this.got += text));
    socket.on("close", () => (this.isClosed = true)).on("error", () => undefined);
  }
}

describe("the TCP proxy", () => {
  let proxy: TcpProxy;
  let server: Server;
  const accepted: End[] = [];

  beforeEach(async () => {
    accepted.length = 0;
    server = createServer((socket) => accepted.push(new End(socket)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    proxy = await startTcpProxy((server.address() as AddressInfo).port);
  });

  afterEach(async () => {
    await proxy.close();
    await new Promise((resolve) => server.close(resolve));
  });

  async function link(name: string): Promise<{ client: End; far: End }> {
    const client = new End(connect(proxy.port, "127.0.0.1"));
    client.socket.write(`CONNECT {"name":"${name}"}\r\n`);
    await until(() => accepted.some(({ got }) => got.includes(`"${name}"`)));
    const far = accepted.find(({ got }) => got.includes(`"${name}"`)) as End;
    return { client, far };
  }

  it("carries bytes both ways, and knows the name that the client gives", async () => {
    const { client, far } = await link("one");
    far.socket.write("hello");
    await until(() => client.got === "hello");
    expect(proxy.names()).to.deep.equal(["one"]);
  });

  it("cuts the links that are meant and no other", async () => {
    const one = await link("one");
    const two = await link("two");
    expect(proxy.cut((name) => name === "one")).to.equal(1);
    await until(() => one.client.isClosed && one.far.isClosed);
    two.far.socket.write("still");
    await until(() => two.client.got === "still");
    expect(proxy.names()).to.deep.equal(["two"]);
  });

  it("delivers late what was sent while it held a link, and holds back one way only", async () => {
    const { client, far } = await link("one");
    const before = far.got;
    const letGo = proxy.hold((name) => name === "one", "to-server");
    client.socket.write("late");
    far.socket.write("now");
    await until(() => client.got === "now");
    expect(far.got).to.equal(before);
    letGo();
    await until(() => far.got === `${before}late`);
  });

  it("holds links that are made meanwhile, as soon as it knows their name", async () => {
    const letGo = proxy.hold((name) => name === "one", "from-server");
    const { client, far } = await link("one");
    const other = await link("two");
    far.socket.write("late");
    other.far.socket.write("now");
    await until(() => other.client.got === "now");
    expect(client.got).to.equal("");
    letGo();
    await until(() => client.got === "late");
  });

  it("closes one end when the other is gone", async () => {
    const { client, far } = await link("one");
    far.socket.destroy();
    await until(() => client.isClosed);
    expect(proxy.names()).to.deep.equal([]);
  });
});
