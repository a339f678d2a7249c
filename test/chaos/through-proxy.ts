/**
 * Loaded into each node's process by NODE_OPTIONS before the program itself: has the node reach
 * nats-server through the proxy whose links the run cuts. The program is not changed for that: it
 * is given another --nats-url. In all other processes (the supervisor) it does nothing.
 *
 *   CHAOS_PROXY_URL   the proxy
 */
const url = process.env["CHAOS_PROXY_URL"];
const place = process.argv.indexOf("--nats-url");
if (url !== undefined && process.argv.includes("--cluster-nodes") && place > 0) {
  process.argv[place + 1] = url;
}
