import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { AuthorityFiles, StoredAuthority, StoredFile } from "../../ports/certificates.ts";
import { CredentialsError } from "../../ports/credentials.ts";
import { makeDirectory } from "./directory.ts";
import { addFile, exposedMode, isCode, replaceFile } from "../files.ts";

/** In the data directory. */
export const TLS_DIRECTORY = "tls";
export const BUNDLE_FILE = "bundle.json";
/** A key and a certificate have about 1,100 bytes in PEM, a bundle 8,192; anything much longer is another file. */
export const TLS_FILE_BYTES_MAX = 16_384;
/** Files of authorities that are read; the keeper leaves four. */
export const AUTHORITY_FILES_MAX = 16;

const AUTHORITY_FILE = /^authority-([1-9]\d{0,14})\.pem$/;

/**
 * `<data directory>/tls`, made (0700) when the first file is written: `authority-<number>.pem` with key and certificate (0600),
 * and the bundle that was published last. Other files there are left alone.
 */
export function tlsFiles(dataDirectory: string): AuthorityFiles {
  const directory = join(dataDirectory, TLS_DIRECTORY);
  const authorityPath = (number: number): string => join(directory, `authority-${number}.pem`);
  const bundlePath = join(directory, BUNDLE_FILE);

  return {
    read: async () => {
      const numbers = await authorityNumbers(directory);
      const authorities: StoredAuthority[] = [];
      for (const number of numbers) {
        const file = await readSecret(authorityPath(number));
        if (file !== undefined) authorities.push({ number, ...file });
      }
      return { authorities, bundle: await readIfThere(bundlePath, false) };
    },
    addAuthority: async (number, pem) => {
      await written(authorityPath(number), async (path) => {
        await makeDirectory(directory);
        await addFile(path, pem);
      });
    },
    writeBundle: (text) => written(bundlePath, (path) => replaceFile(path, text)),
    removeAuthority: (number) => written(authorityPath(number), (path) => rm(path, { force: true })),
  };
}

async function authorityNumbers(directory: string): Promise<number[]> {
  const names = await readdir(directory).catch((cause: unknown) => {
    if (isCode(cause, "ENOENT")) return [];
    throw unreadable(directory, cause);
  });
  const numbers = names.flatMap((name) => AUTHORITY_FILE.exec(name)?.[1] ?? []).map(Number);
  if (numbers.length > AUTHORITY_FILES_MAX) {
    const message = `${directory} holds ${numbers.length} authorities, at most ${AUTHORITY_FILES_MAX} are read`;
    throw new CredentialsError("damaged", `${message}; move those with the lowest numbers away`);
  }
  return numbers.sort((a, b) => a - b);
}

function readSecret(path: string): Promise<StoredFile | undefined> {
  return readIfThere(path, true);
}

/** `undefined` when there is no file. */
async function readIfThere(path: string, isSecret: boolean): Promise<StoredFile | undefined> {
  try {
    await using file = await open(path, "r");
    const mode = isSecret ? await exposedMode(file) : undefined;
    if (mode !== undefined) {
      const message = `the certificate authority ${path} may be used by others (mode ${mode})`;
      throw new CredentialsError("exposed", `${message}; run: chmod 600 ${path}`);
    }
    const { size } = await file.stat();
    if (size > TLS_FILE_BYTES_MAX) {
      const message = `${path} has ${size} bytes, at most ${TLS_FILE_BYTES_MAX} are read`;
      throw new CredentialsError("damaged", `${message}; restore it from a backup, or move it away`);
    }
    return { path, text: await file.readFile("utf8") };
  } catch (cause) {
    if (cause instanceof CredentialsError) throw cause;
    if (isCode(cause, "ENOENT")) return undefined;
    throw unreadable(path, cause);
  }
}

async function written(path: string, write: (path: string) => Promise<void>): Promise<void> {
  try {
    await write(path);
  } catch (cause) {
    const message = `${path} cannot be written: ${(cause as Error).message}`;
    throw new CredentialsError("not_created", `${message}; check permissions and space of its directory`, { cause });
  }
}

function unreadable(path: string, cause: unknown): CredentialsError {
  return new CredentialsError("unreadable", `${path} cannot be read: ${(cause as Error).message}`, { cause });
}
