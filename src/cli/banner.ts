import type { Status } from "../api.ts";
import type { CliIo } from "./io.ts";
import { paint } from "./io.ts";
import { SETTINGS } from "./settings/definitions.ts";
import type { ResolvedSettings } from "./settings/resolve.ts";
import { facts, plural } from "./text.ts";

/** What a registry says of itself when it is up, on standard error. */
export function describeStart(io: CliIo, status: Status, settings: ResolvedSettings): string {
  const title = paint(io.stderr, io.environment, "bold", status.name);
  const addresses = dialledFirst(status, settings);
  const body = facts(
    [
      ["DID", status.did],
      ["PeerId", status.peerId],
      ["SPIFFE ID", status.spiffeId],
      ["HTTPS", httpsUrls(status).join("\n") || "switched off"],
      ["listening", status.listening.join("\n")],
      ["announced", addresses.join("\n")],
      ["data", settings.config.dataDir],
      ["catalogue", plural(status.catalog.agents, "agent")],
      ["peers", settings.config.peers.length === 0 ? "none yet" : settings.config.peers.join("\n")],
      ["settings", describeOrigins(settings)],
    ],
    "  ",
  );
  const invitation = ways(status, addresses)
    .map(([who, way]) => `\n  ${who.padStart(INVITATION_COLUMNS)}  registry start --peer ${way}`)
    .join("");
  return `\n${title} is up\n\n${body}\n${paint(io.stderr, io.environment, "dim", invitation)}\n`;
}

const INVITATION_COLUMNS = "Others join with:".length;

/** What others are told comes first; what works on this machine alone is said to. */
function ways({ http }: Status, addresses: readonly string[]): [string, string][] {
  const told = http?.urls[0] ?? addresses[0];
  const here = http !== null && http.url !== told ? [["on this machine:", http.url] as [string, string]] : [];
  const dialled = http !== null && addresses[0] !== undefined ? [["or:", addresses[0]] as [string, string]] : [];
  return told === undefined ? [] : [["Others join with:", told], ...here, ...dialled];
}

function httpsUrls({ http }: Status): string[] {
  return http === null ? [] : [...new Set([http.url, ...http.urls])];
}

/** What was named to be announced as it is; else this machine first, where a copied line is tried first and always works. */
function dialledFirst({ multiaddrs }: Status, { config }: ResolvedSettings): string[] {
  if (config.announce.length > 0) return [...multiaddrs];
  const isLoopback = (address: string): boolean => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address);
  return [...multiaddrs.filter(isLoopback), ...multiaddrs.filter((address) => !isLoopback(address))];
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
