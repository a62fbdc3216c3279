import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readlinkSync, realpathSync, symlinkSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminSocketError } from "./errors.ts";

export const SOCKET_NAME = "admin.sock";

/** The longest socket path in bytes that every system takes: macOS has 104 with the closing NUL, Linux 108 (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 103;

/** Hex digits of SHA-256 in the name of a socket outside its data directory. */
const NAME_DIGITS = 24;

export interface SocketPlace {
  /** Where the socket is bound. */
  readonly path: string;
  /** In the data directory, when the socket itself does not fit there: a symbolic link that clients read and follow. */
  readonly link: string | undefined;
}

/**
 * Where the node of `dataDir` opens its socket. A link leads to the runtime directory, so that a client finds it even when its
 * own environment names another one.
 * @throws AdminSocketError when the runtime directory is not safely ours
 */
export function placeSocket(dataDir: string, environment: Readonly<Record<string, string | undefined>>): SocketPlace {
  const direct = join(dataDir, SOCKET_NAME);
  if (fits(direct)) return { path: direct, link: undefined };
  const digest = createHash("sha256").update(realpathSync(dataDir)).digest("hex").slice(0, NAME_DIGITS);
  const path = join(runtimeDirectory(environment), `${digest}.sock`);
  if (!fits(path))
    throw new AdminSocketError(`no place for the admin socket: ${path} is too long as well; set XDG_RUNTIME_DIR to a short path`);
  return { path, link: direct };
}

/** Where a client finds the socket of `dataDir`, if there is one. */
export function findSocket(dataDir: string): string | undefined {
  const direct = join(dataDir, SOCKET_NAME);
  if (fits(direct)) return direct;
  try {
    return readlinkSync(direct);
  } catch {
    return undefined;
  }
}

export function writeLink(place: SocketPlace): void {
  if (place.link === undefined) return;
  removeLink(place);
  symlinkSync(place.path, place.link);
}

export function removeLink(place: SocketPlace): void {
  if (place.link !== undefined && lstatSync(place.link, { throwIfNoEntry: false })?.isSymbolicLink()) unlinkSync(place.link);
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX;
}

/** `$XDG_RUNTIME_DIR`, which is private by its specification, else a directory of ours (0700) among the temporary files. */
function runtimeDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  const uid = process.getuid?.() ?? 0;
  const base = environment["XDG_RUNTIME_DIR"] ?? "";
  const directory = base === "" ? join(tmpdir(), `theprotocol-registry-${uid}`) : join(base, "theprotocol-registry");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const facts = lstatSync(directory);
  // Among shared temporary files somebody else may have made it first, to read what we say or to stand in for us.
  if (!facts.isDirectory() || facts.uid !== uid) {
    throw new AdminSocketError(`${directory} is not a directory of this user; remove it or set XDG_RUNTIME_DIR`);
  }
  chmodSync(directory, 0o700);
  return directory;
}
