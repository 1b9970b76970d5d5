import { handler } from "./work.mjs";

// No todos: workerd has SQLite in durable objects only.
const answer = handler(null);
export default { fetch: (request) => answer(request) };
