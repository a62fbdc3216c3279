import crypto, { type KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

/** Verified signatures remembered; the oldest leave first. */
export const SIGNATURES_MAX = 50_000;

interface Verified {
  readonly key: KeyObject;
  readonly message: Buffer;
}

/**
 * Lets this thread check each Ed25519 signature once. A simulated federation lives in one thread, where every registry checks
 * the same signatures of all others, 0.1 ms each: half of a run. Whether one holds is a function of key, message and signature
 * alone, so remembering it changes no run. Only what was verified is remembered, and both key and message are compared.
 */
export function rememberSignatures(): void {
  const verify = crypto.verify.bind(crypto) as (
    algorithm: null,
    message: Uint8Array,
    key: KeyObject,
    signature: Uint8Array,
  ) => boolean;
  const verified = new Map<string, Verified>();
  const remembering: typeof verify = (algorithm, message, key, signature) => {
    const name = Buffer.from(signature).toString("latin1");
    const known = verified.get(name);
    if (known !== undefined && known.key.equals(key) && known.message.equals(message)) return true;
    if (!verify(algorithm, message, key, signature)) return false;
    if (verified.size >= SIGNATURES_MAX) verified.delete(verified.keys().next().value as string);
    verified.set(name, { key, message: Buffer.from(message) });
    return true;
  };
  crypto.verify = remembering as typeof crypto.verify;
  syncBuiltinESMExports();
}
