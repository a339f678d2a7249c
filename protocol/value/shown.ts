/**
 * Received input, as an error's description shows it: short, and safe on a terminal.
 */
const quotedMax = 48;

export function quote(text: string): string {
  return text.length <= quotedMax
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, quotedMax))}… (${text.length} characters)`;
}

export function quoteBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return "nothing";
  const start = Buffer.from(bytes.subarray(0, quotedMax)).toString("utf8");
  const rest = bytes.length > quotedMax ? `… (${bytes.length} bytes)` : "";
  return JSON.stringify(start) + rest;
}

/**
 * The same for a decoded value. It goes into no container: a client chooses how deep they nest,
 * and a member may be called `toString` without being a function.
 */
export function shown(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (value === undefined) return "nothing";
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") {
    return String(value);
  }
  if (value === null) return "null";
  if (value instanceof Uint8Array) return "bytes";
  return Array.isArray(value) ? "an array" : "an object";
}
