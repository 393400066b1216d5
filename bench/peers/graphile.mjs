// graphile-worker: a job per task, or batch jobs, whose payload is an array.

import { EventEmitter } from "node:events";
import { Logger, makeWorkerUtils, run as start } from "graphile-worker";
import { load, pool, postBatch, postJob, ready, report, run } from "./peer.mjs";

const quiet = new Logger(() => (level, message) => {
    if (level === "error") console.error(message);
});
const utils = await makeWorkerUtils({ pgPool: pool, logger: quiet });
await utils.migrate();
const inArrays = run.mode === "bulk" || run.mode === "noop-bulk";
const size = inArrays ? run.batch : 1;
let queued = 0;
for await (const rows of load(size * Math.ceil(1000 / size))) {
    const specs = [];
    for (let at = 0; at < rows.length; at += size) {
        const payload = size === 1 ? rows[at] : rows.slice(at, at + size);
        specs.push({ identifier: "post", payload });
    }
    queued += specs.length;
    await utils.addJobs(specs);
}
await ready();

const handlers = {
    "per-job": (job) => postJob(pool, job),
    bulk: async (some, { job }) => void (await postBatch(pool, some, Number(job.id) % 16)),
    noop: () => {},
    "noop-bulk": () => {},
};
const events = new EventEmitter();
let ended = 0;
const all = new Promise((resolve, reject) => {
    events.on("job:complete", ({ error }) => {
        if (error) reject(error);
        ended += 1;
        if (ended === queued) resolve();
    });
});
const began = performance.now();
const runner = await start({
    pgPool: pool,
    noHandleSignals: true,
    events,
    taskList: { post: handlers[run.mode] },
    preset: {
        worker: {
            logger: quiet,
            concurrentJobs: run.concurrency,
            // The local queue and batched completion, as its page on performance has them.
            localQueue: inArrays ? { size: run.concurrency + 1 } : { size: run.batch },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
        },
    },
});
await all;
// What was completed is committed when the pool has stopped.
await runner.stop();
report((performance.now() - began) / 1000, inArrays ? run.jobs : ended);
