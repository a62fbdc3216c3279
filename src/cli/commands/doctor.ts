import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { loadOrCreateKeyFile } from "../../adapters/system/key-file.ts";
import { BUNDLE_FILE, TLS_DIRECTORY } from "../../adapters/system/tls-files.ts";
import { TOKEN_FILE_NAME } from "../../adapters/system/token-file.ts";
import { checkPair, readPair, WebCertificateError } from "../../adapters/system/web-certificate-pair.ts";
import type { AdminClient } from "../../admin/client.ts";
import { NodeUnreachableError } from "../../admin/errors.ts";
import type { Check } from "../../api.ts";
import { KEY_FILE_NAME } from "../../config.ts";
import { createKeyMaterial } from "../../identity/key-material.ts";
import type { Cli } from "../cli.ts";
import { aliasChecks, certificateChecks } from "../doctor/certificates.ts";
import { AS_OWNER, check, ok, warning, type Finding } from "../doctor/check.ts";
import { fileChecks, nodeCheck } from "../doctor/files.ts";
import { listeningChecks, type Running } from "../doctor/listening.ts";
import { peerChecks } from "../doctor/peers.ts";
import { webCertificateChecks, type InspectPair } from "../doctor/web-certificate.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { paint, type CliIo } from "../io.ts";
import { addSettingOptions } from "../setting-options.ts";
import { plain } from "../text.ts";

export function doctorCommand(program: Command, cli: Cli): void {
  addSettingOptions(program.command("doctor"))
    .description("look for what is wrong and say how to put it right (needs no node; finds more with one)")
    .action(async (_options, command: Command) => {
      const checks = await examine(cli, command);
      const states = new Set(checks.map(({ state }) => state));
      cli.exitCode = states.has("failed") ? EXIT.failure : states.has("warning") ? EXIT.partial : EXIT.ok;
      await cli.show(command, { ok: cli.exitCode === EXIT.ok, checks }, () => describe(cli.io, checks, cli.exitCode));
    });
}

async function examine(cli: Cli, command: Command): Promise<Check[]> {
  const { config, origins, warnings } = cli.settings(command);
  const keyFile = join(config.dataDir, KEY_FILE_NAME);
  const settings = await check("settings", () =>
    warnings.length === 0 ? ok("all are understood") : warning(warnings.join("; "), "correct the names, or remove them"),
  );
  return cli.withNode(command, async (client) => {
    const { found, running } = await findNode(client);
    const [files, ports, peers, certificates, webCertificate, alias, seen] = await Promise.all([
      fileChecks(config.dataDir, {
        isRunning: running !== undefined,
        key: keyFile,
        readKey: () => readKey(keyFile),
        tls: join(config.dataDir, TLS_DIRECTORY),
        operatorToken: join(config.dataDir, TOKEN_FILE_NAME),
      }),
      listeningChecks(config, origins, running),
      peerChecks(config.peers),
      certificateChecks(client, running?.status, join(config.dataDir, TLS_DIRECTORY, BUNDLE_FILE)),
      webCertificateChecks(config, inspectPair, running),
      ownDid(keyFile, running).then((did) => aliasChecks(config, did)),
      running === undefined ? [] : seenByNode(client),
    ]);
    return [
      await nodeCheck(),
      settings,
      ...files,
      ...ports,
      found,
      ...seen,
      ...certificates,
      ...webCertificate,
      ...alias,
      ...peers,
    ];
  });
}

/** A registry that is well says at once that it is there. */
const NODE_MS_MAX = 5_000;

async function findNode(client: AdminClient): Promise<{ found: Check; running: Running | undefined }> {
  let running: Running | undefined;
  const look = async (): Promise<Finding> => {
    try {
      const [{ pid }, status] = await Promise.all([client.process(), client.status()]);
      running = { pid, status };
      return ok(`${status.name} runs as process ${pid}`);
    } catch (error) {
      if (!(error instanceof NodeUnreachableError)) throw error;
      const isOthers = (error.cause as NodeJS.ErrnoException | undefined)?.code === "EACCES";
      return warning(error.message, isOthers ? AS_OWNER : "run: registry start");
    }
  };
  return { found: await check("registry", look, NODE_MS_MAX), running };
}

async function seenByNode(client: AdminClient): Promise<readonly Check[]> {
  let seen: readonly Check[] = [];
  const asked = await check("diagnosis", async () => {
    seen = (await client.diagnose()).checks;
    return ok("the registry looked at itself");
  });
  return asked.state === "ok" ? seen : [asked];
}

/** From the running node, else from the key, where there is one that may be read; a bad one is reported by its own check. */
async function ownDid(keyFile: string, running: Running | undefined): Promise<string | undefined> {
  if (running !== undefined) return running.status.did;
  const seed = await readKey(keyFile).catch(() => undefined);
  return seed && createKeyMaterial(seed).did;
}

/** As a start reads and checks it. */
const inspectPair: InspectPair = async (paths, domain) => {
  try {
    const { pair, exposure } = await readPair(paths);
    return { ...checkPair(pair, paths, domain, Date.now()), exposure };
  } catch (error) {
    if (error instanceof WebCertificateError) return { found: error.found, fix: error.fix };
    throw error;
  }
};

/** Never makes one. @throws KeyFileError */
async function readKey(keyFile: string): Promise<Uint8Array | undefined> {
  return existsSync(keyFile) ? (await loadOrCreateKeyFile(keyFile)).seed : undefined;
}

const MARKS = {
  ok: ["green", "✓"],
  warning: ["yellow", "!"],
  failed: ["red", "✗"],
  skipped: ["dim", "-"],
} as const;

function describe(io: CliIo, checks: readonly Check[], exitCode: ExitCode): string {
  const width = Math.max(...checks.map(({ name }) => Math.min(name.length, NAME_COLUMNS)));
  const lines = checks.flatMap(({ name, state, found, fix, tookMs }) => {
    const [style, mark] = MARKS[state];
    const took = `${tookMs.toFixed(tookMs < 10 ? 1 : 0)} ms`.padStart(TIME_COLUMNS);
    const line = `${paint(io.stdout, io.environment, style, mark)} ${took}  ${plain(name).padEnd(width)}  ${plain(found)}`;
    return fix === null ? [line] : [line, `${" ".repeat(TIME_COLUMNS + 4)}→ ${plain(fix)}`];
  });
  const verdict =
    exitCode === EXIT.ok
      ? "Nothing is wrong."
      : exitCode === EXIT.partial
        ? "It can work; see the lines that are marked !"
        : "Something keeps it from working; see the lines that are marked ✗";
  return [...lines, "", verdict].join("\n");
}

const NAME_COLUMNS = 24;
const TIME_COLUMNS = 8;
