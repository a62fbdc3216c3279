import type { Status } from "../api.ts";
import type { CliIo } from "./io.ts";
import { paint } from "./io.ts";
import { SETTINGS } from "./settings/definitions.ts";
import type { ResolvedSettings } from "./settings/resolve.ts";
import { facts, plural } from "./text.ts";

/** What a registry says of itself when it is up, on standard error. */
export function describeStart(io: CliIo, status: Status, settings: ResolvedSettings): string {
  const title = paint(io.stderr, io.environment, "bold", status.name);
  const body = facts(
    [
      ["DID", status.did],
      ["PeerId", status.peerId],
      ["SPIFFE ID", status.spiffeId],
      ["listening", status.listening.join("\n")],
      ["announced", status.multiaddrs.join("\n")],
      ["data", settings.config.dataDir],
      ["catalogue", plural(status.catalog.agents, "agent")],
      ["peers", settings.config.peers.length === 0 ? "none yet" : settings.config.peers.join("\n")],
      ["settings", describeOrigins(settings)],
    ],
    "  ",
  );
  const [address] = status.multiaddrs;
  const invitation = address === undefined ? "" : `\n\n  Others join with:  registry start --peer ${address}`;
  return `\n${title} is up\n\n${body}${paint(io.stderr, io.environment, "dim", invitation)}\n`;
}

/** Each setting that somebody chose with where it was said; the rest in one line. */
function describeOrigins({ origins }: ResolvedSettings): string {
  const lines = SETTINGS.filter(({ field }) => origins[field].kind !== "default").map((setting) => {
    const { kind, name } = origins[setting.field];
    return kind === "flag" ? `${name} (flag)` : `${setting.variable} (${kind === "file" ? name : kind})`;
  });
  const defaults = SETTINGS.filter(({ field }) => origins[field].kind === "default").map(({ flag }) => flag.slice(2));
  const rest = defaults.length === SETTINGS.length ? "all defaults" : `defaults: ${defaults.join(", ")}`;
  return [...lines, ...(defaults.length === 0 ? [] : [wrap(rest)])].join("\n");
}

const COLUMNS = 96;

function wrap(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1] as string;
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + word.length < COLUMNS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join("\n");
}
