/**
 * What every Bus does when its connection goes and comes back.
 */
import { expect } from "chai";
import type { Bus, Message } from "../../infra/bus.js";
import { refusal } from "../support/failure.js";
import { until } from "../support/until.js";

export interface FaultyBusWorld {
  /** Buses of one world reach one another. */
  connect(name: string): Promise<Bus>;
  /** All lose their connection, at once. */
  lose(): Promise<void>;
  /** All have it again once this resolves, and their subscriptions stand. */
  regain(): Promise<void>;
  close(): Promise<void>;
}

export function busFaultsContract(createWorld: () => Promise<FaultyBusWorld>): void {
  let world: FaultyBusWorld;
  let bus: Bus;
  let other: Bus;
  let statuses: string[];
  beforeEach(async () => {
    world = await createWorld();
    bus = await world.connect("a");
    other = await world.connect("b");
    statuses = [];
    bus.onStatus((status) => void statuses.push(status));
    other.subscribe("echo", undefined, ({ data, reply }) => other.publish(reply ?? "", data));
    other.subscribe("slow", undefined, () => undefined);
    await other.flush();
  });
  afterEach(() => world.close());

  it("leaves in doubt what was sent, and says when it is away and back", async () => {
    const sent = refusal(bus.request("slow", bytes(""), { timeoutMs: 60_000 }));
    await bus.flush();
    await world.lose();
    expect(await sent).to.have.property("kind", "in-doubt");
    await until(() => statuses.length > 0);
    await world.regain();
    await until(() => statuses.length > 1);
    expect(statuses).to.deep.equal(["disconnected", "connected"]);
  });

  it("holds a request made while it is away, and sends it once it is back", async () => {
    // Its own: of others nobody knows whether they are back by then.
    bus.subscribe("own", undefined, ({ data, reply }) => bus.publish(reply ?? "", data));
    await bus.flush();
    await world.lose();
    await until(() => statuses.length > 0);
    const held = bus.request("own", bytes("held"), { timeoutMs: 60_000 });
    await world.regain();
    expect(text(await held)).to.equal("held");
  });

  it("has done nothing of a request whose time ends while it is away", async () => {
    await world.lose();
    await until(() => statuses.length > 0);
    const error = await refusal(bus.request("echo", bytes(""), { timeoutMs: 20 }));
    expect(error).to.have.property("kind", "unavailable");
    await world.regain();
  });

  it("loses what is published while it is away, and no more than that", async () => {
    const received: string[] = [];
    other.subscribe("news", undefined, (message) => void received.push(text(message)));
    await other.flush();
    bus.publish("news", bytes("before"));
    await until(() => received.length === 1);
    await world.lose();
    await until(() => statuses.length > 0);
    bus.publish("news", bytes("away"));
    await world.regain();
    await until(() => statuses.length > 1);
    bus.publish("news", bytes("after"));
    await until(() => received.length >= 2);
    expect(received).to.deep.equal(["before", "after"]);
  });

  it("has its subscriptions again, in their queue groups", async () => {
    let queued = 0;
    for (const each of [bus, other]) each.subscribe("work", "group", () => void (queued += 1));
    await Promise.all([bus.flush(), other.flush()]);
    await world.lose();
    await until(() => statuses.length > 0);
    await world.regain();
    for (let count = 0; count < 20; count += 1) bus.publish("work", bytes(""));
    await until(() => queued >= 20);
    await Promise.all([bus.flush(), other.flush()]);
    expect(queued).to.equal(20);
  });
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text({ data }: Message): string {
  return new TextDecoder().decode(data);
}
