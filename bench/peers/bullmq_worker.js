// BullMQ: one job per message, whose processor does nothing.
//
//   node bullmq_worker.js <redis url> <file of bodies>
//
// Adds the jobs with addBulk, then runs one worker and ends when the last one is completed. A
// completed job is removed, as BullMQ's pages on production advise. Prints how many it handled, and seconds.

const { readFileSync } = require("node:fs");
const { Queue, Worker } = require("bullmq");
const Redis = require("ioredis");

const QUEUE = "messages";
const CONCURRENCY = 100;
const AT_ONCE = 1000;

async function main() {
  const [url, file] = process.argv.slice(2);
  const bodies = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  const connection = new Redis(url, { maxRetriesPerRequest: null });

  const queue = new Queue(QUEUE, { connection });
  for (let at = 0; at < bodies.length; at += AT_ONCE) {
    const chunk = bodies.slice(at, at + AT_ONCE);
    const opts = { removeOnComplete: true };
    await queue.addBulk(chunk.map((data) => ({ name: "message", data, opts })));
  }

  let handled = 0;
  const options = { connection, concurrency: CONCURRENCY, autorun: false };
  const worker = new Worker(QUEUE, async () => { handled += 1; }, options);
  let completed = 0;
  const allCompleted = new Promise((resolve) => {
    worker.on("completed", () => { if (++completed === bodies.length) resolve(); });
  });
  await worker.waitUntilReady();
  const began = performance.now();
  worker.run();
  await allCompleted;
  const seconds = (performance.now() - began) / 1000;
  console.log(`handled ${handled} in ${seconds.toFixed(6)} s`);
  await worker.close();
  await queue.close();
  connection.disconnect();
}

main().catch((error) => { console.error(error); process.exit(1); });
