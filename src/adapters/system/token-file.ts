import { randomBytes } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectory } from "./directory.ts";
import { addFile, exposedMode, isCode } from "../files.ts";

/** Name of the operator's token in the data directory. */
export const TOKEN_FILE_NAME = "operator.token";
const TOKEN_BYTES = 32;
/** 32 bytes in base64url without padding (RFC 4648 §5), which leaves two bits of the last character unused. */
const TOKEN = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
/** The token with its line break; anything longer is another file. */
const TOKEN_FILE_BYTES_MAX = 64;

export type TokenFileErrorCode = "exposed" | "damaged" | "unreadable" | "not_created";

/** The token file cannot be used; `message` says what to do, and never holds what stands in the file. */
export class TokenFileError extends Error {
  override readonly name = "TokenFileError";
  readonly code: TokenFileErrorCode;

  constructor(code: TokenFileErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The operator's token, 43 characters of base64url, from a file that is made with mode 0600 when there is none. Of two processes
 * that make it at once, one wins and both read the winner's token.
 * @throws TokenFileError
 */
export async function loadOrCreateTokenFile(path: string): Promise<string> {
  const existing = await readToken(path);
  if (existing !== undefined) return existing;
  await createToken(path);
  const token = await readToken(path);
  if (token === undefined) throw new TokenFileError("unreadable", `the token file ${path} vanished while it was being read`);
  return token;
}

/** `undefined` when there is no file. */
async function readToken(path: string): Promise<string | undefined> {
  let file;
  try {
    file = await open(path, "r");
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return undefined;
    throw unreadable(path, cause);
  }
  try {
    const mode = await exposedMode(file);
    if (mode !== undefined) {
      const advice = "others may know it: delete it, and a new one is made at the next start";
      throw new TokenFileError("exposed", `the token file ${path} may be used by others (mode ${mode}); ${advice}`);
    }
    const { size } = await file.stat();
    const token = size > TOKEN_FILE_BYTES_MAX ? "" : (await file.readFile("latin1")).trimEnd();
    if (TOKEN.test(token)) return token;
    const advice = `it should be ${TOKEN_BYTES} bytes in base64url; delete it, and a new one is made at the next start`;
    throw new TokenFileError("damaged", `the token file ${path} holds no token: ${advice}`);
  } catch (cause) {
    if (cause instanceof TokenFileError) throw cause;
    throw unreadable(path, cause);
  } finally {
    await file.close();
  }
}

async function createToken(path: string): Promise<void> {
  try {
    await makeDirectory(dirname(path));
    await addFile(path, `${randomBytes(TOKEN_BYTES).toString("base64url")}\n`);
  } catch (cause) {
    if (isCode(cause, "EEXIST") && (await stat(path).then(Boolean, () => false))) return;
    throw new TokenFileError("not_created", `the token file ${path} cannot be created: ${(cause as Error).message}`, { cause });
  }
}

function unreadable(path: string, cause: unknown): TokenFileError {
  return new TokenFileError("unreadable", `the token file ${path} cannot be read: ${(cause as Error).message}`, { cause });
}
