import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { fromUtf8 } from "../../protocols/lib/bytes.ts";
import { CliError, EXIT } from "./exit.ts";
import type { CliIo } from "./io.ts";

export interface Input {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** 0 for what has no length, such as a pipe. */
  readonly bytes: number;
}

/** A file, or standard input for `-`. @throws CliError when it cannot be read */
export async function openInput(io: CliIo, name: string): Promise<Input> {
  if (name === "-") return { chunks: io.stdin, bytes: 0 };
  const path = resolve(io.workingDirectory, name);
  try {
    const file = await open(path, "r");
    const facts = await file.stat();
    if (facts.isDirectory()) {
      await file.close();
      throw Object.assign(new Error("it is a directory"), { code: "EISDIR" });
    }
    return { chunks: createReadStream("", { fd: file }) as AsyncIterable<Uint8Array>, bytes: facts.isFile() ? facts.size : 0 };
  } catch (cause) {
    throw new CliError(EXIT.failure, "unreadable", `${name} cannot be read: ${whyUnreadable(cause as NodeJS.ErrnoException)}`, {
      cause,
    });
  }
}

const UNREADABLE: Readonly<Partial<Record<string, string>>> = {
  ENOENT: "there is no such file; check its name and directory, or give - for standard input",
  ENOTDIR: "a part of its path is a file and no directory; check the path",
  EISDIR: "it is a directory; name a file in it",
  EACCES: "this user may not read it; change its permissions, or run as its owner",
};

function whyUnreadable({ code = "", message }: NodeJS.ErrnoException): string {
  return UNREADABLE[code] ?? message;
}

/** The whole input as text. @throws CliError `too_large`, ProtocolError `not_utf8` */
export async function readText(io: CliIo, name: string, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (await openInput(io, name)).chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax)
      throw new CliError(EXIT.refused, "too_large", `${name} is longer than the ${bytesMax} bytes that are read`);
    chunks.push(chunk);
  }
  return fromUtf8(Buffer.concat(chunks));
}
