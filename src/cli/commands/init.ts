import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { devNull } from "node:os";
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
      const envFile = resolve(cli.io.workingDirectory, command.optsWithGlobals<{ envFile?: string }>().envFile ?? ENV_FILE_NAME);
      const envCreated = !existsSync(envFile);
      // The others ask for a file that is there; the one that is made here says nothing yet, and stands in for `.env` all the same.
      if (envCreated) program.setOptionValue("envFile", devNull);
      const settings = cli.settings(command);
      for (const warning of settings.warnings) cli.warn(warning);
      const { dataDir, name } = settings.config;
      await makeDataDirectory(dataDir);
      // Its identity is recorded with the key: a key that is found alone later has been somewhere else before.
      await openDataDirectory(dataDir, hostFacts(), KEY_FILE_NAME);
      const keyFile = join(dataDir, KEY_FILE_NAME);
      const key = await loadOrCreateKeyFile(keyFile);
      const { did, peerId, trustDomain } = createKeyMaterial(key.seed);
      if (envCreated) await makeEnvFile(envFile, envTemplate(chosenTexts(settings)));
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
      const unwritten = envCreated ? [] : givenFlags(settings);
      if (unwritten.length > 0)
        cli.warn(
          `${envFile} was there and is kept: ${unwritten.join(", ")} not written to it; edit it, or give them to each command`,
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

async function makeEnvFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: ENV_FILE_MODE, flag: "wx" });
  } catch (cause) {
    const message = `the settings file ${path} cannot be made: ${(cause as Error).message}; name another with --env-file`;
    throw new CliError(EXIT.failure, "env_file", message, { cause });
  }
}

function givenFlags({ origins }: ResolvedSettings): string[] {
  return SETTINGS.filter(({ field }) => origins[field].kind === "flag").map(({ flag }) => flag);
}

/** What was said by flag or environment becomes part of the file; defaults stay comments. */
function chosenTexts({ config, origins }: ResolvedSettings): Record<string, string> {
  const chosen = SETTINGS.filter(({ field }) => origins[field].kind !== "default");
  return Object.fromEntries(chosen.map((setting) => [setting.variable, settingText(setting, config)]));
}
