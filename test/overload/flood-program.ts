/**
 * A flood as a process of its own; floods.ts starts it, and tells it through its channel what to
 * do. It ends when that is closed.
 */
import { Flood, type FloodOrder } from "./flood.js";

const [servers = "", store = "", counter = ""] = process.argv.slice(2);
const flood = await Flood.connect(servers, store, counter);
process.on("message", (order: FloodOrder) => {
  void flood.run(order).then((report) => process.send?.(report));
});
process.once("disconnect", () => void flood.close());
process.send?.("ready");
