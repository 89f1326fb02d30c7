// Answers requests, and holds its loop when one asks for it: server.js
//
// "GET /KIND/MS". For each stall the truth goes to standard output: kind, when it began
// and ended (CLOCK_MONOTONIC, ms: hrtime is that clock).
const { execFileSync } = require('child_process');
const { pbkdf2Sync } = require('crypto');
const http = require('http');

const now = () => Number(process.hrtime.bigint()) / 1e6;

function hold_processor(ms) {
  const until = performance.now() + ms;
  while (performance.now() < until); // processor
}

function hold_sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms); // sleep
}

function hold_child(ms) {
  execFileSync('/bin/sleep', [String(ms / 1000)]); // child
}

function hold_library(ms) {
  const until = performance.now() + ms;
  do pbkdf2Sync('a', 'b', 2000, 64, 'sha512'); while (performance.now() < until); // library
}

const holds = { processor: hold_processor, sleep: hold_sleep, child: hold_child,
  library: hold_library };

const server = http.createServer((request, response) => {
  const [, kind, ms] = request.url.split('/');
  if (kind === 'quit') process.exit(0);
  if (holds[kind]) {
    const began = now();
    holds[kind](Number(ms));
    process.stdout.write(`stall ${kind} ${began} ${now()}\n`);
  }
  response.end('ok\n');
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening ${server.address().port} ${process.pid}\n`);
});
