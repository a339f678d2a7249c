/**
 * Minimum-cost maximum flow over a small network: which replica goes to which node.
 *
 * Successive shortest paths, found by Bellman and Ford with a queue. Costs may be negative as long
 * as no cycle is. Capacities and costs are whole numbers. Good for some ten thousand arcs and some
 * hundred units of flow, which is far more than a ring of a hundred nodes has.
 *
 * Source: Ahuja, Magnanti, Orlin: Network Flows, 1993, chapter 9.7.
 */
import { assert } from "../../protocol/assert.js";

export class FlowNetwork {
  // Arc 2 i runs forward, arc 2 i + 1 is its residual and runs back; an arc's twin is arc ^ 1.
  readonly #to: number[] = [];
  readonly #room: number[] = [];
  readonly #cost: number[] = [];
  readonly #arcsOf: number[][] = [];

  /** A new vertex. */
  vertex(): number {
    return this.#arcsOf.push([]) - 1;
  }

  /** A new arc; flowOf tells what went over it. */
  arc(from: number, to: number, capacity: number, cost = 0): number {
    const arc = this.#to.push(to, from) - 2;
    this.#room.push(capacity, 0);
    this.#cost.push(cost, -cost);
    this.#arcsOf[from]?.push(arc);
    this.#arcsOf[to]?.push(arc + 1);
    return arc;
  }

  flowOf(arc: number): number {
    return this.#room[arc ^ 1] as number;
  }

  /** Sends as much as can be sent, as cheaply as that can be done; returns how much it was. */
  run(source: number, sink: number): number {
    let sent = 0;
    for (;;) {
      const path = this.#cheapestPath(source, sink);
      if (path === undefined) return sent;
      const room = Math.min(...path.map((arc) => this.#room[arc] as number));
      assert(room > 0, "a path consists of arcs with room");
      for (const arc of path) {
        this.#room[arc] = (this.#room[arc] as number) - room;
        this.#room[arc ^ 1] = (this.#room[arc ^ 1] as number) + room;
      }
      sent += room;
    }
  }

  /** The arcs of the cheapest way that has room, from the sink back; undefined = there is none. */
  #cheapestPath(source: number, sink: number): number[] | undefined {
    const costs = this.#arcsOf.map(() => Infinity);
    const arrivals = costs.map(() => -1);
    const queued = costs.map(() => false);
    const queue = [source];
    costs[source] = 0;
    for (let vertex = queue.shift(); vertex !== undefined; vertex = queue.shift()) {
      queued[vertex] = false;
      for (const arc of this.#arcsOf[vertex] as number[]) {
        const to = this.#to[arc] as number;
        const cost = (costs[vertex] as number) + (this.#cost[arc] as number);
        if ((this.#room[arc] as number) === 0 || cost >= (costs[to] as number)) continue;
        costs[to] = cost;
        arrivals[to] = arc;
        if (!queued[to]) queue.push(to);
        queued[to] = true;
      }
    }
    if (costs[sink] === Infinity) return undefined;
    const path: number[] = [];
    for (let vertex = sink; vertex !== source;) {
      const arc = arrivals[vertex] as number;
      path.push(arc);
      vertex = this.#to[arc ^ 1] as number;
    }
    return path;
  }
}
