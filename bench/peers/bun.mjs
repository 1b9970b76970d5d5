import { Database } from "bun:sqlite";
import { handler, open } from "./work.mjs";

const folder = process.argv[2];
const todos = open(new Database(`${folder}/todos.sqlite3`));
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: handler(todos) });
console.log(`127.0.0.1:${server.port}`);
