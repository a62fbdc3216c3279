import { KEY_BYTES_MAX } from "../../ports/store.ts";

/**
 * The engine also serves libp2p's datastore, whose keys are UTF-8 text that starts with "/". No UTF-8 text holds the byte 0xff,
 * so the node's own keys, which all start with it inside the engine, never meet those.
 */
export const NODE_KEY_PREFIX = 0xff;

/** The key as the engine keeps it. @throws RangeError outside of 1 to KEY_BYTES_MAX bytes */
export function engineKey(key: Uint8Array): Buffer {
  if (key.length === 0 || key.length > KEY_BYTES_MAX) {
    throw new RangeError(`a key has 1 to ${KEY_BYTES_MAX} bytes, this one has ${key.length}`);
  }
  return engineBound(key);
}

/** The end of a range as the engine keeps it: any bytes, also none. */
export function engineBound(bound: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(bound.length + 1);
  out[0] = NODE_KEY_PREFIX;
  out.set(bound, 1);
  return out;
}

/** The node's key inside an engine key. */
export function nodeKey(key: Uint8Array): Uint8Array {
  return key.subarray(1);
}
