import { DatabaseSync } from "node:sqlite";
import { handler, open } from "./work.mjs";

const [folder] = Deno.args;
const onListen = ({ port }) => console.log(`127.0.0.1:${port}`);
const todos = open(new DatabaseSync(`${folder}/todos.sqlite3`));
Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, handler(todos));
