// A bare hub: what an agent sends is parsed, written once, and sent to every dashboard.
import { createRequire } from "node:module";
import process from "node:process";

const { WebSocketServer } = createRequire(process.argv[2] + "/")("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
const dashboards = new Set();

server.on("connection", (socket, request) => {
  if (request.url === "/dashboard") {
    dashboards.add(socket);
    socket.on("close", () => dashboards.delete(socket));
    return;
  }
  socket.on("message", (data) => {
    const text = JSON.stringify(JSON.parse(data));
    for (const dashboard of dashboards) dashboard.send(text);
  });
});
server.on("listening", () => console.log(`port ${server.address().port}`));
