import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectory } from "./directory.ts";
import { addFile, exposedMode, isCode } from "../files.ts";

/** A PKCS#8 PEM of an Ed25519 key has 119 bytes; anything much longer is another file. */
export const KEY_FILE_BYTES_MAX = 4_096;

/** The private key proper is the end of its PKCS#8 form (RFC 8410 §7). */
const SEED_BYTES = 32;

export interface KeyFile {
  /** 32 bytes, the Ed25519 private key. */
  readonly seed: Uint8Array;
  /** Whether the file was made by this call. */
  readonly created: boolean;
}

export type KeyFileErrorCode = "exposed" | "damaged" | "not_ed25519" | "unreadable" | "not_created";

/** The key file cannot be used; it is never replaced, since the key in it is the registry. `message` says what to do. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";
  readonly code: KeyFileErrorCode;

  constructor(code: KeyFileErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The registry's Ed25519 key from a PKCS#8 PEM file (RFC 5958, RFC 7468), made with mode 0600 when there is none. Of two
 * processes that make it at once, one wins and both read the winner's key.
 * @throws KeyFileError
 */
export async function loadOrCreateKeyFile(path: string): Promise<KeyFile> {
  const existing = await readKey(path);
  if (existing !== undefined) return { seed: existing, created: false };
  const created = await createKey(path);
  const seed = await readKey(path);
  if (seed === undefined) throw new KeyFileError("unreadable", `the key file ${path} vanished while it was being read`);
  return { seed, created };
}

async function readKey(path: string): Promise<Uint8Array | undefined> {
  const text = await readPem(path);
  return text === undefined ? undefined : seedOf(text, path);
}

/** `undefined` when there is no file. */
async function readPem(path: string): Promise<string | undefined> {
  let file;
  try {
    file = await open(path, "r");
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return undefined;
    throw new KeyFileError("unreadable", `the key file ${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  try {
    const mode = await exposedMode(file);
    if (mode !== undefined) {
      throw new KeyFileError("exposed", `the key file ${path} may be used by others (mode ${mode}); run: chmod 600 ${path}`);
    }
    const { size } = await file.stat();
    if (size > KEY_FILE_BYTES_MAX) throw damaged(path, `it has ${size} bytes`);
    return await file.readFile("utf8");
  } catch (cause) {
    if (cause instanceof KeyFileError) throw cause;
    throw new KeyFileError("unreadable", `the key file ${path} cannot be read: ${(cause as Error).message}`, { cause });
  } finally {
    await file.close();
  }
}

function seedOf(pem: string, path: string): Uint8Array {
  if (!pem.includes("-----BEGIN PRIVATE KEY-----")) throw damaged(path, "there is no PRIVATE KEY block in it");
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw damaged(path, (cause as Error).message, cause);
  }
  if (key.asymmetricKeyType !== "ed25519") {
    const message = `the key file ${path} holds a key of type ${String(key.asymmetricKeyType)}; a registry's key is Ed25519`;
    throw new KeyFileError(
      "not_ed25519",
      `${message}. Point to the right file, or move this one away to start as a new registry`,
    );
  }
  return Uint8Array.from(key.export({ format: "der", type: "pkcs8" }).subarray(-SEED_BYTES));
}

function damaged(path: string, why: string, cause?: unknown): KeyFileError {
  const advice = "restore it from a backup; the key in it is the registry's identity and cannot be made again";
  return new KeyFileError("damaged", `the key file ${path} is not a PKCS#8 PEM file: ${why}; ${advice}`, { cause });
}

/** Whether our key became the file: it appears under its name complete and synced, or not at all. */
async function createKey(path: string): Promise<boolean> {
  try {
    await makeDirectory(dirname(path));
    await addFile(path, generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
    return true;
  } catch (cause) {
    if (isCode(cause, "EEXIST") && (await stat(path).then(Boolean, () => false))) return false;
    throw new KeyFileError("not_created", `the key file ${path} cannot be created: ${(cause as Error).message}`, { cause });
  }
}
