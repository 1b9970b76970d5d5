// Echoes messages of each kind with the `ws` library, and tells what it has seen.
const WebSocket = require("ws");

const [base, port] = process.argv.slice(2);

// The host's name is in the request alone: no resolver knows it.
const open = (path, protocols) =>
  new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols ?? [], { headers: { host: new URL(base).host }, maxPayload: 1 << 26 });

// The events of a connection, one after the other.
function events(socket) {
  const queue = [];
  const waiting = [];
  const push = (event) => (waiting.length ? waiting.shift()(event) : queue.push(event));
  socket.on("open", () => push(["open"]));
  socket.on("message", (data, binary) => push(["message", data, binary]));
  socket.on("pong", (data) => push(["pong", data.toString()]));
  socket.on("close", (code, reason) => push(["close", code, reason.toString()]));
  socket.on("unexpected-response", (_, response) => push(["refused", response.statusCode]));
  socket.on("error", (error) => push(["error", error.message]));
  return () => (queue.length ? Promise.resolve(queue.shift()) : new Promise((resolve) => waiting.push(resolve)));
}

async function echo() {
  const socket = open("/echo");
  const next = events(socket);
  console.log(...(await next()), socket.protocol, socket.extensions);
  for (const sent of ["text", "caf\u00e9 \u{1f600}", "", Buffer.from([0, 255, 1]), "l".repeat(1000000), Buffer.alloc(4000000, 7)]) {
    socket.send(sent);
    const [kind, data, binary] = await next();
    console.log(kind, data.length, binary, Buffer.from(sent).equals(data));
  }
  socket.send("in ", { fin: false });
  socket.send("fragments", { fin: true });
  console.log((await next())[1].toString());
  socket.ping("ping");
  console.log(...(await next()));
  socket.close(3001, "enough");
  console.log(...(await next()));
}

async function others() {
  const chosen = open("/protocols", ["superchat", "chat"]);
  let next = events(chosen);
  await next();
  console.log(chosen.protocol, (await next())[1].toString());
  chosen.terminate();
  next = events(open("/close/4000"));
  await next();
  console.log(...(await next()));
  next = events(open("/forbidden"));
  console.log(...(await next()));
}

echo().then(others).then(() => process.exit(0), (error) => { console.log("failed", error.message); process.exit(0); });
