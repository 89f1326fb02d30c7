// A small shop: every order is answered at once and leaves a line in the audit log.
//
//     node server.js
//
// Somewhere below it waits a synchronous call; docs/stalls.md hunts it down.
'use strict';
const http = require('http');
const audit = require('./lib/audit');

function onOrder(request, response) {
  audit.logRow({ url: request.url, at: Date.now() });
  response.end('ordered\n');
}

const server = http.createServer(onOrder);
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => process.exit(0));
