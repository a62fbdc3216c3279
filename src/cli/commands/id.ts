import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { loadOrCreateKeyFile } from "../../adapters/system/key-file.ts";
import { KEY_FILE_NAME } from "../../config.ts";
import { createKeyMaterial } from "../../identity/key-material.ts";
import { spiffeId } from "../../identity/name.ts";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit.ts";
import { facts } from "../text.ts";

export function idCommand(program: Command, cli: Cli): void {
  program
    .command("id")
    .description("show who this registry is (needs no node, only its key)")
    .action(async (_options, command: Command) => {
      const { dataDir, name: configured } = cli.settings(command, ["dataDir", "name"]).config;
      const keyFile = join(dataDir, KEY_FILE_NAME);
      if (!existsSync(keyFile)) {
        const message = `there is no registry in ${dataDir}; make one with \`registry init\`, or name its directory with --data-dir`;
        throw new CliError(EXIT.failure, "not_found", message);
      }
      const { did, peerId, trustDomain } = createKeyMaterial((await loadOrCreateKeyFile(keyFile)).seed);
      // The name is not part of the key: a running node knows the one that it was started with.
      const running = await cli.withNode(command, (client) => client.identity()).catch(() => undefined);
      const name = running?.did === did ? running.name : configured;
      const identity = { name, did, peerId, spiffeId: spiffeId(trustDomain, name), trustDomain };
      await cli.show(command, identity, () =>
        facts([
          ["name", name],
          ["DID", did],
          ["PeerId", peerId],
          ["SPIFFE ID", identity.spiffeId],
          ["trust domain", trustDomain],
        ]),
      );
    });
}
