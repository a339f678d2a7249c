/**
 * Failure: returns the error of a failed call. A call that succeeds, or fails in another way, fails
 * the test.
 */
import { KvError } from "../../protocol/errors.js";

export async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error("was expected to fail");
}

export async function failureText(call: Promise<unknown>): Promise<string> {
  return ((await failure(call)) as Error).message;
}

export async function refusal(call: Promise<unknown>): Promise<KvError> {
  return refusalIn(await failure(call));
}

/** As refusal(), of a call that is refused at once. */
export function refusalNow(call: () => unknown): KvError {
  try {
    call();
  } catch (error) {
    return refusalIn(error);
  }
  throw new Error("was expected to be refused");
}

function refusalIn(error: unknown): KvError {
  if (error instanceof KvError) return error;
  throw error;
}
