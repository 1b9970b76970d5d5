import { handler } from "./work.mjs";

// No SQLite outside of its durable objects.
const answer = handler(null);
export default { fetch: (request) => answer(request) };
