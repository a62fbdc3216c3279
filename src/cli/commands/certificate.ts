import { rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Option, type Command } from "commander";
import { ISSUED_LIFETIME_MS_MAX } from "../../identity/credentials.ts";
import type { Cli } from "../cli.ts";
import { certificateFacts } from "../certificates.ts";
import { CliError, EXIT } from "../exit.ts";
import { facts, plural } from "../text.ts";

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;
const LIFETIME_SECONDS_MAX: number = ISSUED_LIFETIME_MS_MAX / 1_000;
const LIFETIME_DEFAULT_SECONDS = DAY_SECONDS;
/** What rounding and two clocks may take off a lifetime before it counts as cut. */
const CUT_TOLERANCE_MS = 60_000;

interface IssueOptions {
  readonly path: string;
  readonly out: string;
  readonly days?: string;
  readonly hours?: string;
}

export function certificateCommand(program: Command, cli: Cli): void {
  program
    .command("certificate")
    .description("certificates of this registry's trust domain; `registry id --certificates` shows its own")
    .command("issue")
    .requiredOption(
      "--path <path>",
      "path of the SPIFFE ID: /operator/<name> may do everything, /agent/<id> is one agent's owner",
    )
    .requiredOption("--out <prefix>", "write <prefix>.key (0600) and <prefix>.pem")
    .addOption(
      new Option("--days <number>", `lifetime in days, at most ${LIFETIME_SECONDS_MAX / DAY_SECONDS}`).conflicts("hours"),
    )
    .option("--hours <number>", `lifetime in hours, at most ${LIFETIME_SECONDS_MAX / HOUR_SECONDS} (24 by default)`)
    .description("make a key and a certificate with which somebody may use the HTTPS interface")
    .action(async (options: IssueOptions, command: Command) => {
      const lifetimeSeconds = lifetimeOf(options);
      const issued = await cli.withNode(command, (client) => client.issueCertificate({ path: options.path, lifetimeSeconds }));
      const prefix = resolve(cli.io.workingDirectory, options.out);
      const [keyFile, certificateFile] = [`${prefix}.key`, `${prefix}.pem`];
      await writePair([keyFile, issued.key], [certificateFile, issued.certificate]);
      const { spiffeId, notBefore, notAfter, serialNumber } = certificateFacts(issued.certificate);
      const made = { spiffeId: spiffeId ?? issued.spiffeId, serialNumber, notBefore, notAfter, keyFile, certificateFile };
      await cli.show(command, made, () =>
        facts([
          ["SPIFFE ID", made.spiffeId],
          ["valid until", notAfter],
          ["key", keyFile],
          ["certificate", certificateFile],
        ]),
      );
      if (Date.parse(notAfter) < Date.now() + lifetimeSeconds * 1_000 - CUT_TOLERANCE_MS) {
        cli.warn(`it ends at ${notAfter}, with the authority that signed it: ask for another one then`);
      }
    });
}

/** @throws CliError `usage` */
function lifetimeOf({ days, hours }: IssueOptions): number {
  const seconds = (text: string, flag: string, unit: number): number => {
    const most = LIFETIME_SECONDS_MAX / unit;
    if (!/^\d{1,15}$/.test(text) || Number(text) === 0)
      throw new CliError(EXIT.usage, "usage", `${flag} takes a whole number from 1, not "${text}"`);
    if (Number(text) <= most) return Number(text) * unit;
    const bound = `a certificate is issued for ${plural(LIFETIME_SECONDS_MAX / HOUR_SECONDS, "hour")} at most`;
    throw new CliError(EXIT.usage, "usage", `${flag} takes ${most} at most, not ${text}: ${bound}; issue another before it ends`);
  };
  if (days !== undefined) return seconds(days, "--days", DAY_SECONDS);
  return hours === undefined ? LIFETIME_DEFAULT_SECONDS : seconds(hours, "--hours", HOUR_SECONDS);
}

const KEY_MODE = 0o600;
const CERTIFICATE_MODE = 0o644;

/** Neither file replaces another, and a key never stays without its certificate. @throws CliError */
async function writePair(
  key: readonly [path: string, pem: string],
  certificate: readonly [path: string, pem: string],
): Promise<void> {
  await writeNew(...key, KEY_MODE);
  try {
    await writeNew(...certificate, CERTIFICATE_MODE);
  } catch (error) {
    await rm(key[0], { force: true });
    throw error;
  }
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(path, text, { mode, flag: "wx" });
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === "EEXIST";
    const why = isThere ? "it is there already; name another with --out, or move it away" : (cause as Error).message;
    throw new CliError(EXIT.failure, isThere ? "exists" : "unwritable", `${path} cannot be written: ${why}`, { cause });
  }
}
