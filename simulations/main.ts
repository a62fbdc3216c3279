import { simulate } from "./runner/simulate.ts";

process.exitCode = await simulate(process.argv.slice(2), new URL("./federation/real-node.ts", import.meta.url));
