import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { openDataDirectory } from "../../adapters/level/data-directory.ts";
import { makeDirectory } from "../../adapters/system/directory.ts";
import { hostFacts } from "../../adapters/system/host.ts";
import { loadOrCreateKeyFile } from "../../adapters/system/key-file.ts";
import { KEY_FILE_NAME } from "../../config.ts";
import { createKeyMaterial } from "../../identity/key-material.ts";
import { spiffeId } from "../../identity/name.ts";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit.ts";
import { addSettingOptions } from "../setting-options.ts";
import { SETTINGS, settingText } from "../settings/definitions.ts";
import { ENV_FILE_NAME, type ResolvedSettings } from "../settings/resolve.ts";
import { envTemplate } from "../settings/template.ts";
import { facts } from "../text.ts";

const ENV_FILE_MODE = 0o600;

export function initCommand(program: Command, cli: Cli): void {
  addSettingOptions(program.command("init"))
    .description("make a data directory with a key, and a commented .env with the settings given here (needs no node)")
    .action(async (_options, command: Command) => {
      const settings = cli.settings(command);
      for (const warning of settings.warnings) cli.warn(warning);
      const { dataDir, name } = settings.config;
      await makeDataDirectory(dataDir);
      // Its identity is recorded with the key: a key that is found alone later has been somewhere else before.
      await openDataDirectory(dataDir, hostFacts(), KEY_FILE_NAME);
      const keyFile = join(dataDir, KEY_FILE_NAME);
      const key = await loadOrCreateKeyFile(keyFile);
      const { did, peerId, trustDomain } = createKeyMaterial(key.seed);
      const envFile = resolve(cli.io.workingDirectory, command.optsWithGlobals<{ envFile?: string }>().envFile ?? ENV_FILE_NAME);
      const envCreated = !existsSync(envFile);
      if (envCreated) await writeFile(envFile, envTemplate(chosenTexts(settings)), { mode: ENV_FILE_MODE, flag: "wx" });
      const made = { dataDir, keyFile, keyCreated: key.created, envFile, envCreated };
      const identity = { name, did, peerId, spiffeId: spiffeId(trustDomain, name) };
      await cli.show(command, { ...identity, ...made }, () =>
        facts([
          ["name", name],
          ["DID", did],
          ["PeerId", peerId],
          ["SPIFFE ID", identity.spiffeId],
          ["key", `${keyFile}${key.created ? "" : " (was there, kept)"}`],
          ["settings", `${envFile}${envCreated ? "" : " (was there, kept)"}`],
        ]),
      );
      cli.say("The key is the registry's identity: keep a copy of it in a safe place. Next: registry start");
    });
}

async function makeDataDirectory(path: string): Promise<void> {
  try {
    await makeDirectory(path);
  } catch (cause) {
    const message = `the data directory ${path} cannot be made: ${(cause as Error).message}; name another with --data-dir`;
    throw new CliError(EXIT.failure, "data_directory", message, { cause });
  }
}

/** What was said by flag or environment becomes part of the file; defaults stay comments. */
function chosenTexts({ config, origins }: ResolvedSettings): Record<string, string> {
  const chosen = SETTINGS.filter(({ field }) => origins[field].kind !== "default");
  return Object.fromEntries(chosen.map((setting) => [setting.variable, settingText(setting, config)]));
}
