// Holds a loop of Node in each way, some times: kinds.js COUNT DELAY_MS KIND...
//
// The line that a report must name ends in the mark of its function. The kind worker does it on a
// thread of its own, with a loop of its own.
const { execSync, spawn } = require('child_process');
const { pbkdf2Sync } = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { Worker, isMainThread, workerData } = require('worker_threads');

const HELD_MS = 80;
let fifo;

// How much of something takes HELD_MS: found out before the loop is watched for it.
function sizeOf(work, first) {
  let size = first;
  for (;;) {
    const begin = process.hrtime.bigint();
    work(size);
    const spent = Number(process.hrtime.bigint() - begin) / 1e6;
    if (spent > 5) return Math.ceil(size * HELD_MS / spent);
    size *= 2;
  }
}

let iterations, text, word;

const prepare = {
  pbkdf2Sync() { iterations = sizeOf((size) => pbkdf2Sync('a', 'b', size, 64, 'sha512'), 1000); },
  parse() {
    const row = JSON.stringify({ name: 'x'.repeat(20), values: [1, 2, 3.5], inner: { a: null } });
    const make = (size) => '[' + Array(size).fill(row).join(',') + ']';
    text = make(sizeOf((size) => JSON.parse(make(size)), 1000));
  },
  regexp() {
    word = 'a'.repeat(16);
    for (let spent = 0; spent < HELD_MS / 2;) {
      const begin = Date.now();
      word += 'a';
      /^(a+)+$/.test(word + '!');
      spent = Date.now() - begin;
    }
    word += '!';
  },
  readFileSync() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'kinds-'));
    fifo = path.join(folder, 'fifo');
    execSync(`mkfifo ${fifo}`);
    process.on('exit', () => fs.rmSync(folder, { recursive: true }));
  },
};

function hold_processor() {
  const until = performance.now() + HELD_MS;
  while (performance.now() < until); // processor
}

function hold_atomics() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HELD_MS); // atomics
}

function hold_execSync() {
  execSync(`sleep ${HELD_MS / 1000}`); // execSync
}

function hold_pbkdf2Sync() {
  pbkdf2Sync('a', 'b', iterations, 64, 'sha512'); // pbkdf2Sync
}

function hold_readFileSync() {
  fs.readFileSync(fifo); // readFileSync
}

function hold_parse() {
  JSON.parse(text); // parse
}

function hold_regexp() {
  /^(a+)+$/.test(word); // regexp
}

const holds = { processor: hold_processor, atomics: hold_atomics, execSync: hold_execSync,
  pbkdf2Sync: hold_pbkdf2Sync, readFileSync: hold_readFileSync, parse: hold_parse,
  regexp: hold_regexp };

async function holdAll(count, delay, kinds) {
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await pause(delay);
  for (const kind of kinds) {
    if (prepare[kind]) prepare[kind]();
    await pause(50);
    for (let i = 0; i < count; i++) {
      if (kind === 'readFileSync') spawn('sh', ['-c', `sleep 0.1; echo > ${fifo}`]);
      holds[kind]();
      await pause(30);
    }
  }
}

if (!isMainThread) {
  holdAll(...workerData);
} else {
  const [count, delay, ...kinds] = process.argv.slice(2);
  const plan = [Number(count), Number(delay), kinds.filter((kind) => kind !== 'worker')];
  if (kinds.includes('worker')) new Worker(__filename, { workerData: plan });
  else holdAll(...plan);
}
