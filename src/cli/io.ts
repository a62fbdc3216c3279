import { styleText } from "node:util";

/** What a command touches of its process, so that a test can stand in for a terminal. */
export interface CliIo {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
}

export type CliStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

type Style = "bold" | "dim" | "green" | "yellow" | "red" | "cyan";

/** Colour only on a terminal whose user did not switch it off (no-color.org). */
export function paint(stream: CliStream, environment: CliIo["environment"], style: Style, text: string): string {
  const isPlain = stream.isTTY !== true || (environment["NO_COLOR"] ?? "") !== "" || environment["TERM"] === "dumb";
  return isPlain ? text : styleText(style, text, { validateStream: false });
}

/** Writes and waits where the reader is slower. */
export async function write(stream: CliStream, text: string): Promise<void> {
  if (stream.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });
}
