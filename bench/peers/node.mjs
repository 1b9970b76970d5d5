// Node's own server, without a framework. It has no todos: not every Node has SQLite.
import { createServer } from "node:http";
import { HELLO, price, receipt } from "./work.mjs";

const JSON_TYPE = "application/json";

const server = createServer((request, response) => {
  const path = request.url;
  if (path === "/rpc/hello@latest") return send(response, 200, JSON_TYPE, HELLO);
  if (path === "/rpc/slow@latest") return setTimeout(() => send(response, 200, JSON_TYPE, HELLO), 20);
  if (path === "/rpc/echo@latest") {
    return read(request, (body) => send(response, 200, "application/octet-stream", body));
  }
  if (path === "/rpc/upload@latest") {
    return read(request, (body) => send(response, 200, JSON_TYPE, receipt(body)));
  }
  if (path === "/rpc/json@latest") {
    return read(request, (body) => {
      const answer = price(JSON.parse(body));
      if (answer) send(response, 200, JSON_TYPE, JSON.stringify(answer));
      else send(response, 400, "text/plain", "the order is refused");
    });
  }
  send(response, 404, "text/plain", "not found");
});

function read(request, done) {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => done(Buffer.concat(parts)));
}

function send(response, status, type, body) {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
