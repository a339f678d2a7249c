/**
 * Through proxy: makes a node reach nats-server through the proxy whose links the run cuts.
 * NODE_OPTIONS loads this file into each node's process before the program, and it replaces the
 * program's --nats-url; the program stays as it is. In the supervisor it does nothing.
 *
 *   CHAOS_PROXY_URL   the proxy
 */
const url = process.env["CHAOS_PROXY_URL"];
const place = process.argv.indexOf("--nats-url");
if (url !== undefined && process.argv.includes("--cluster-nodes") && place > 0) {
  process.argv[place + 1] = url;
}
