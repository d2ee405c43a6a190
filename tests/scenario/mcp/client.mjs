// A client of `niia mcp` on the official SDK. It performs the calls that stand in a file, and writes what came of each.
//
//   node client.mjs NODE_MODULES NIIA CALLS RESULTS
import { readFileSync, writeFileSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, niia, calls, results] = process.argv.slice(2);
const require = createRequire(pathToFileURL(modules + "/x.js"));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
const { default: Ajv2020 } = await load("ajv/dist/2020.js");

const ajv = new (Ajv2020.default ?? Ajv2020)({ strict: true, allErrors: true, validateSchema: true });
const said = { errors: [], calls: [] };
const client = new Client({ name: "test", version: "1" });
// A client starts servers with few variables; these are the ones niia's own profiles hand over.
const env = Object.fromEntries(["NIIA_HOME", "NIIA_SOCKET", "HOME", "PATH"].filter((k) => process.env[k]).map((k) => [k, process.env[k]]));
await client.connect(new StdioClientTransport({ command: niia, args: ["mcp"], env }));
said.server = client.getServerVersion();
said.instructions = client.getInstructions();
const { tools } = await client.listTools();
said.tools = tools;
const checks = {};
for (const tool of tools) {
  if (!ajv.validateSchema(tool.inputSchema)) said.errors.push({ tool: tool.name, errors: ajv.errors });
  checks[tool.name] = ajv.compile(tool.inputSchema);
}
for (const { name, args, after } of JSON.parse(readFileSync(calls, "utf8"))) {
  while (after && !existsSync(after)) await new Promise((go) => setTimeout(go, 20));
  const one = { name, fits: checks[name] ? checks[name](args) : null };
  try {
    one.result = await client.callTool({ name, arguments: args }, undefined, { timeout: 120000 });
  } catch (error) {
    one.error = { code: error.code, message: error.message };
  }
  said.calls.push(one);
}
await client.close();
writeFileSync(results, JSON.stringify(said, null, 1));
console.log("the client is through");
