// What bench/work does, in JavaScript: one module for all peers. `open` gives the peer's own SQLite, if it has one.

export const HELLO = '{"hello":"fezz-123"}';
const JSON_TYPE = { "content-type": "application/json" };
const SLOW_MS = 20;

// A handler of the Fetch API; unknown paths are answered with 404.
export function handler(todos) {
  return (request) => {
    const url = request.url;
    const path = url.slice(url.indexOf("/", 8));
    if (path === "/rpc/hello@latest") return new Response(HELLO, { headers: JSON_TYPE });
    if (path === "/rpc/slow@latest") return slow();
    if (path === "/rpc/echo@latest") return echo(request);
    if (path === "/rpc/upload@latest") return upload(request);
    if (path === "/rpc/json@latest") return json(request);
    if (todos && path.startsWith("/rpc/todos@latest")) {
      if (request.method === "POST") return create(todos, request);
      const after = Number(new URL(url).searchParams.get("after") ?? 0);
      return new Response(JSON.stringify(todos.list(after)), { headers: JSON_TYPE });
    }
    return new Response("not found", { status: 404 });
  };
}

// A timer, as JavaScript would use: it has no thread to block.
async function slow() {
  await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
  return new Response(HELLO, { headers: JSON_TYPE });
}

async function echo(request) {
  const body = await request.arrayBuffer();
  return new Response(body, { headers: { "content-type": "application/octet-stream" } });
}

async function upload(request) {
  return new Response(receipt(new Uint8Array(await request.arrayBuffer())), { headers: JSON_TYPE });
}

export function receipt(body) {
  let sum = 0;
  for (const byte of body) sum += byte;
  return `{"length":${body.length},"sum":${sum}}`;
}

async function json(request) {
  const answer = price(await request.json());
  return answer ?
    new Response(JSON.stringify(answer), { headers: JSON_TYPE }) :
    new Response("the order is refused", { status: 400 });
}

export function price(order) {
  const { customer, currency, lines } = order;
  if (typeof customer !== "string" || customer === "" || currency?.length !== 3) return null;
  if (!Array.isArray(lines) || lines.length === 0) return null;
  let total = 0;
  const priced = [];
  for (const { sku, name, quantity, cents } of lines) {
    if (sku?.length !== 8 || typeof name !== "string") return null;
    if (!(quantity >= 1 && quantity <= 1000) || !Number.isInteger(cents)) return null;
    const sum = cents * quantity;
    total += sum;
    priced.push({ sku, name, quantity, sum });
  }
  return { customer, currency, lines: priced, total };
}

async function create(todos, request) {
  const { title } = await request.json();
  return new Response(JSON.stringify({ id: todos.create(title), title, done: false }), {
    status: 201,
    headers: JSON_TYPE,
  });
}

// The database of bench/work/src/todos.rs, over anything with `exec` and `prepare`.
export function open(database) {
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = NORMAL");
  database.exec("CREATE TABLE todos (id INTEGER PRIMARY KEY, title TEXT NOT NULL, done INTEGER NOT NULL)");
  database.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO todos SELECT i, 'todo number ' || i, i % 2 FROM n`);
  const list = database.prepare("SELECT id, title, done FROM todos WHERE id > ? ORDER BY id LIMIT 10");
  const insert = database.prepare("INSERT INTO todos (title, done) VALUES (?, 0) RETURNING id");
  return {
    list: (after) => list.all(after).map(({ id, title, done }) => ({ id, title, done: done === 1 })),
    create: (title) => insert.get(title).id,
  };
}
